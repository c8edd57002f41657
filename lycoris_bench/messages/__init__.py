"""Texts for the user: errors, names from files, numbers. Standard library only."""
