"""Encodes images and evaluates metrics on them: the rows of the metric table."""
