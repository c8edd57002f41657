"""Images and captions in, weights and pictures out: everything that touches the diffusion model."""
