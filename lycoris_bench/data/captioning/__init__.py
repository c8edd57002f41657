"""Captions for training images, written by an image tagger and cleared of what a concept is."""
