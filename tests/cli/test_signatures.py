"""Options that several commands share are listed once."""

import inspect
from dataclasses import dataclass, fields
from typing import Annotated

import typer
from typer.testing import CliRunner

from lycoris_bench.cli import evaluate, watch
from lycoris_bench.cli.evaluating import Evaluating
from lycoris_bench.cli.signatures import with_options


@dataclass(frozen=True)
class Told:
    size: Annotated[int, typer.Option(help="How large.")]
    words: Annotated[list[str] | None, typer.Option("--word")] = None


def test_each_field_is_an_option_in_the_place_of_the_object() -> None:
    app = typer.Typer()

    @app.command()
    @with_options(Told)
    def command(file: str, told: Told, loud: bool = False) -> None:
        """Says what it was given."""
        typer.echo(f"{file} {told} {loud}")

    typed = ["a.txt", "--size", "3", "--word", "x", "--word", "y", "--loud"]
    result = CliRunner().invoke(app, typed)
    assert result.output == "a.txt Told(size=3, words=['x', 'y']) True\n"
    assert [*inspect.signature(command).parameters] == ["file", "size", "words", "loud"]
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "How large." in shown and "Says what it was given." in shown


def test_eval_and_watch_have_the_same_options() -> None:
    shared = [field.name for field in fields(Evaluating)]
    for command in (evaluate.evaluate, watch.watch):
        own = inspect.signature(command).parameters
        assert [name for name in own if name in shared] == shared
