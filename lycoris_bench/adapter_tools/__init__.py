"""The tools behind `lycoris-bench adapter ...`: one file per command, with a function that takes
plain values and returns its result as data and text. `source.py` and `weights_on_disk.py` read
adapters and models, `result.py` writes adapters."""
