"""Images drawn from a base model with adapters merged."""
