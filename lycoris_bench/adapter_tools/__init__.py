"""What `lycoris-bench adapter ...` does: one command a file, each a function from plain values to a
result that has its text in it. `stream.py` and `model_files.py` are what they read and write by.
"""
