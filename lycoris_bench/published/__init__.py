"""The authors' published data (github.com/cyber-meow/LyCORIS-evaluation) in this project's terms:
their prompts as a prompt tree, their metric tables as runs that `analyze` takes.

`names.py` says what their words are called here, `folder_key.py` and `column_title.py` read the
two kinds of names that their tables have, `runs.py` says which run is made of which tables."""
