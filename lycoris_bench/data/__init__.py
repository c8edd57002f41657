"""Training images and their captions on disk."""
