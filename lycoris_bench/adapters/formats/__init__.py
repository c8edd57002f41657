"""Adapter files: every layout and spelling of the ecosystem, read and written."""
