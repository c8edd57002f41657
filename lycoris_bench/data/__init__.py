"""Training images and their captions, as they lie on the disk."""
