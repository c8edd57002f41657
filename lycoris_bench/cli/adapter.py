"""`lycoris-bench adapter ...`: parses arguments, calls one adapter tool and prints its result.
Importing this module loads no torch."""

import functools
import json
import math
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lycoris_bench.messages.errors import doing
from lycoris_bench.messages.printable import lines, printable

LONGEST = 2000  # characters of a problem that are printed
MOST = 8  # problems that are printed
app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What an adapter file is, whether it was applied, and other forms of it.",
)
NUMBERS: list[float] = []
Result = dict[str, Any]
Tool = Callable[..., Result]
Command = Callable[..., None]


class Kind(StrEnum):
    """What a difference is extracted as."""

    lora = "lora"
    lokr = "lokr"
    full = "full"


class Layout(StrEnum):
    """What a file is converted to."""

    kohya = "kohya"
    lycoris = "lycoris"
    diffusers = "diffusers"
    peft = "peft"
    comfyui = "comfyui"
    compvis = "compvis"
    portable = "portable"
    full = "full"


File = Annotated[Path, typer.Argument(metavar="FILE", help="An adapter: safetensors, or a PEFT "
                                      "folder.")]  # fmt: skip
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Adapters.")]
Base = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A pipeline folder, a hub id in the local cache, a single "
                   "file, or package:miniature/weights/base."),
]  # fmt: skip
Model = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="The base model, for changes that depend on its weights."),
]
Out = Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Where the result goes.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Rank = Annotated[int | None, typer.Option(help="The rank of every layer.")]
Energy = Annotated[
    float | None,
    typer.Option(help="The least rank that keeps this share of a layer's sum of squares."),
]
Layers = Annotated[bool, typer.Option("--layers", help="A line for each layer.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks instead of sentences.")]


def _printed(what: str) -> Callable[[Tool], Command]:
    """Makes a command of a function that returns a tool's result: its progress is shown, its
    result printed, and `what`, with its arguments in it, names it in the message of an error."""

    def command_of(tool: Tool) -> Command:
        @functools.wraps(tool)
        def command(**arguments: Any) -> None:
            from lycoris_bench.adapter_tools.steps import told
            from lycoris_bench.cli.progress import shown

            named = what.format_map({name: _word(value) for name, value in arguments.items()})
            with shown() as progress, told(progress), doing(named):
                result = tool(**arguments)
            _finish(result, arguments["as_json"])

        return command

    return command_of


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@app.command()
@_printed("inspecting {file}")
def inspect(
    file: File,
    model: Model = None,
    layers: Layers = False,
    as_json: Json = False,
    debug: Debug = False,
) -> Result:
    """Algorithm, ranks, scales, layers, norms and metadata of a file."""
    from lycoris_bench.adapter_tools import inspect as tool

    return tool.inspect(file, model, layers)


@app.command()
@_printed("verifying {file}")
def verify(
    model: Base,
    file: File,
    strength: Annotated[float, typer.Option(help="Multiplier of the change.")] = 1.0,
    prompt: Annotated[str, typer.Option(help="What is drawn.")] = "a photo",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initial noise.")] = 0,
    picture: Annotated[
        bool, typer.Option("--picture/--no-picture", help="Draw, or compare weights alone.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> Result:
    """Prove that a file is applied: which layers match, and how far a picture moves. Exit status
    1 if nothing or only a part matches, or if the picture stays."""
    from lycoris_bench.adapter_tools import verify as tool

    return tool.verify(model, file, strength, prompt, seed, picture, device)


@app.command()
@_printed("merging {files} into {model}")
def merge(
    model: Base,
    files: Files,
    output: Out,
    strength: Annotated[
        list[float], typer.Option("--strength", help="Once for all files, or once for each.")
    ] = NUMBERS,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> Result:
    """Write a base model with adapters merged, in the model's own layout and dtype."""
    from lycoris_bench.adapter_tools import merge as tool

    return tool.merge(model, files, output, strength, force)


@app.command()
@_printed("extracting the difference of {base} and {tuned}")
def extract(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The model before.")],
    tuned: Annotated[str, typer.Argument(metavar="TUNED", help="The model after.")],
    output: Out,
    kind: Annotated[Kind, typer.Option("--as", help="Algorithm of the result.")] = Kind.lora,
    rank: Rank = None,
    energy: Energy = None,
    factor: Annotated[int, typer.Option(help="LoKr's factor; -1: as even as can be.")] = 8,
    layers: Layers = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> Result:
    """Make an adapter of the difference of two models, and say what is lost."""
    from lycoris_bench.adapter_tools import extract as tool

    return tool.extract(base, tuned, output, kind.value, rank, energy, factor, force, layers)


@app.command()
@_printed("resizing {file}")
def resize(
    file: File,
    output: Out,
    rank: Rank = None,
    energy: Energy = None,
    size: Annotated[
        float | None, typer.Option(metavar="MIB", help="The largest size of the file, in MiB.")
    ] = None,
    model: Model = None,
    layers: Layers = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> Result:
    """Make a smaller LoRA of an adapter, and say what is lost."""
    from lycoris_bench.adapter_tools import resize as tool

    return tool.resize(file, output, rank, energy, size, model, force, layers)


@app.command()
@_printed("combining {files}")
def combine(
    files: Files,
    output: Out,
    weight: Annotated[list[float], typer.Option("--weight", help="Once for each file.")] = NUMBERS,
    rank: Annotated[int | None, typer.Option(help="The largest rank of a layer.")] = None,
    model: Model = None,
    layers: Layers = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> Result:
    """Write one file that means the weighted sum of several."""
    from lycoris_bench.adapter_tools import combine as tool

    return tool.combine(files, output, weight, rank, model, force, layers)


@app.command()
@_printed("converting {file} to {to}")
def convert(
    file: File,
    output: Out,
    to: Annotated[Layout, typer.Option("--to", help="The layout of the result.")],
    model: Model = None,
    rank: Annotated[
        int | None,
        typer.Option(help="With --to portable: rank of layers that are no LoRA of small rank."),
    ] = None,
    layers: Layers = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> Result:
    """Write an adapter as other programs read it."""
    from lycoris_bench.adapter_tools import convert as tool

    return tool.convert(file, output, to.value, model, rank, force, layers)


def _finish(result: dict[str, Any], as_json: bool) -> None:
    """Data goes to stdout, warnings and problems to stderr; the status is the result's own."""
    text, status = result.pop("text"), result.pop("status", 0)
    problems = [*result.get("warnings", []), *result.get("problems", [])]
    for line in problems[:MOST]:
        print(printable(line, LONGEST), file=sys.stderr)
    if len(problems) > MOST:
        print(f"and {len(problems) - MOST} more; --json has all", file=sys.stderr)
    said = json.dumps(_plain(result), indent=1, ensure_ascii=False, allow_nan=False)
    typer.echo(said if as_json else lines(text))
    if status:
        raise typer.Exit(status)


def _plain(value: Any) -> Any:
    """The value with infinities and NaN as strings, since JSON has neither."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
