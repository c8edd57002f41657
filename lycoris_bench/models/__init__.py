"""Base models: found, read, described; text encoding and conditioning."""
