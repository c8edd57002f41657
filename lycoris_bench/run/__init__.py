"""A run folder and how work is done in it: store, executor, environment."""
