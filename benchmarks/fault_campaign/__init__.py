"""The faults of `python -m benchmarks.faults`, and how they are done to a run."""
