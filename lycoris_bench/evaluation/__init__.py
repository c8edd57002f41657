"""A study of checkpoints that others made: found, named, described, and drawn like any other."""
