"""The checks of `benchmarks/gpu.py`, by subject: each is a function that yields lines."""
