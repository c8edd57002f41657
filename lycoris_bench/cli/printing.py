"""How a command's result is printed."""

import json
from typing import Any

import typer

from lycoris_bench.messages.printable import lines


def say(result: dict[str, Any], as_json: bool) -> None:
    """Prints a result to stdout: as JSON, or as its text."""
    text = result.pop("text")
    typer.echo(json.dumps(result, indent=1, ensure_ascii=False) if as_json else lines(text))


def finish(result: dict[str, Any], status: int, as_json: bool) -> None:
    """Prints a result and ends the command with this exit status."""
    say(result, as_json)
    if status:
        raise typer.Exit(status)
