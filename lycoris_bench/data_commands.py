"""The commands beside the line: they only parse, and call what does the work."""

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands to the program."""
