"""Base models: found, read, described; text to conditioning."""
