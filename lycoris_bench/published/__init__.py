"""The authors' published data (github.com/cyber-meow/LyCORIS-evaluation) in this project's terms:
their prompts as a prompt tree, their metric tables as runs that `analyze` takes.

`renames.py` translates their words into ours, `folder_key.py` and `column_title.py` read the
names of rows and columns of their tables, `runs.py` says which run is made of which tables."""
