"""The concepts of the miniature dataset: what the base model does not know."""
