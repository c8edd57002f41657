"""Writes captions for training images by an image tagger, without tags that belong to a concept."""
