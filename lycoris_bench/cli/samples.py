"""`lycoris-bench score DIR`: the same command where its argument is a folder of images that exist
already, with options of its own."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lycoris_bench.cli.options import NONE
from lycoris_bench.cli.printing import finish
from lycoris_bench.cli.signatures import shown_as
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.folder import STUDY

PANEL = "A folder of images"
ENCODERS = ("dinov2-l", "clip-l-datacomp", "vgg19")
StudyOrImages = Annotated[
    str, typer.Argument(metavar="STUDY|DIR", help="A study file, or a folder of images.")
]
Reference = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", rich_help_panel=PANEL,
        help="Real images of the concept, or a dataset tree of several.",
    ),
]  # fmt: skip
Base = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", rich_help_panel=PANEL,
        help="The base model's images, which pair by prompt and seed.",
    ),
]  # fmt: skip
Group = Annotated[
    str | None,
    typer.Option(
        metavar="FIELD", rich_help_panel=PANEL,
        help="What is compared: step, configuration, folder, model, guidance, ... (default: step).",
    ),
]  # fmt: skip
Pattern = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", rich_help_panel=PANEL,
        help="How images are named: {configuration}/{step}_{index}; * is anything.",
    ),
]  # fmt: skip
Grid = Annotated[
    str | None,
    typer.Option(
        metavar="RxC", rich_help_panel=PANEL, help="Cut each image into R rows of C images."
    ),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", rich_help_panel=PANEL,
        help="The prompts by number or name, where images lack them: text, JSON or TOML.",
    ),
]  # fmt: skip
TreeOfWords = Annotated[
    str | None,
    typer.Option(
        metavar="TREE", rich_help_panel=PANEL,
        help="A folder with a concepts.toml: how prompts name each concept.",
    ),
]  # fmt: skip
Trigger = Annotated[
    str | None,
    typer.Option(metavar="WORD", rich_help_panel=PANEL, help="The concept's word in prompts."),
]
ClassWord = Annotated[
    str | None,
    typer.Option(metavar="WORD", rich_help_panel=PANEL, help="Its class, after the trigger."),
]
Description = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", rich_help_panel=PANEL, help="What CLIP reads in place of both words."
    ),
]
Encoders = Annotated[
    list[str],
    typer.Option(
        metavar="NAME", rich_help_panel=PANEL,
        help=f"Repeatable (default: {', '.join(ENCODERS)}).",
    ),
]  # fmt: skip
Metrics = Annotated[
    list[str],
    typer.Option(metavar="NAME", rich_help_panel=PANEL, help="Repeatable (default: all)."),
]
Weights = Annotated[
    list[str],
    typer.Option(
        metavar="NAME=FILE", rich_help_panel=PANEL,
        help="An encoder's own weights: a file, or owner/name[@revision] on the hub. Repeatable.",
    ),
]  # fmt: skip
OWN: dict[str, tuple[Any, Any]] = {
    "reference": (Reference, None), "base": (Base, None), "group": (Group, None),
    "pattern": (Pattern, None), "grid": (Grid, None), "prompts": (Prompts, None),
    "words": (TreeOfWords, None), "trigger": (Trigger, None), "class_word": (ClassWord, None),
    "description": (Description, None), "encoders": (Encoders, NONE), "metrics": (Metrics, NONE),
    "weights": (Weights, NONE),
}  # fmt: skip
SHARED = ("run", "device", "batch_size", "as_json", "debug")  # options of both


def with_folders(of_study: Callable[..., None]) -> Callable[..., None]:
    """The command of a study, which scores a folder of images where one is given. BenchError:
    options of the one with the other."""
    signature = inspect.signature(of_study)
    defaults = {name: p.default for name, p in signature.parameters.items()}

    def command(**given: Any) -> None:
        own = {name: given.pop(name) for name in OWN}
        used = [_option(name) for name, value in own.items() if value]
        study = given["study"]
        place = disk.expand(study)
        if place.is_dir() and not (place / STUDY).is_file():
            wrong = [
                _option(name) for name, value in given.items()
                if name not in ("study", *SHARED) and value != defaults[name]
            ]  # fmt: skip
            if wrong:
                raise BenchError(
                    f"{study} is a folder of images: {' and '.join(wrong)} "
                    f"{'goes' if len(wrong) == 1 else 'go'} with a study file"
                )
            _score(study, own, given)
            return
        if used:
            what = "a run folder" if (place / STUDY).is_file() else "none"
            raise BenchError(
                f"{' and '.join(used)} {'goes' if len(used) == 1 else 'go'} with a folder of "
                f"images; {study} is {what}"
            )
        of_study(**given)

    made = [
        inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind
        )
        for name, (kind, default) in OWN.items()
    ]
    shown = [
        p.replace(annotation=StudyOrImages) if p.name == "study" else p
        for p in signature.parameters.values()
    ]
    return shown_as(command, [*shown, *made], of_study.__doc__)


def _option(name: str) -> str:
    return f"--{name.rstrip('_').replace('_', '-')}"


def _weights(typed: list[str]) -> dict[str, str]:
    """Encoder -> its weights, as a study's table `scoring.weights` has them."""
    pairs = [text.partition("=") for text in typed]
    for name, _, place in pairs:
        if not (name.strip() and place.strip()):
            raise BenchError(
                f"--weights {name} names no file: --weights NAME=FILE is needed, as in "
                "--weights dinov2-l=dinov2.safetensors"
            )
    return {name.strip(): place.strip() for name, _, place in pairs}


def _score(folder: str, own: dict[str, Any], given: dict[str, Any]) -> None:
    from lycoris_bench.cli.progress import shown
    from lycoris_bench.cli.session import print_problems
    from lycoris_bench.run.store import Store
    from lycoris_bench.samples.columns import STEP
    from lycoris_bench.samples.score import run_of, score_samples

    own = {
        **own, "group": own["group"] or STEP, "encoders": own["encoders"] or ENCODERS,
        "weights": _weights(own["weights"]),
    }  # fmt: skip
    with shown() as progress:
        result = score_samples(
            folder, **own, run=given["run"], device=given["device"],
            batch_size=given["batch_size"], progress=progress, debug=given["debug"],
        )  # fmt: skip
    print_problems("score", result)
    store = Store(run_of(folder, given["run"]))
    text = f"score: {result.done} done, {result.skipped} already there"
    text += f", {len(result.failed)} failed" if result.failed else ""
    place = store.report if result.reported else store.root
    about = {
        "stage": "score", "done": result.done, "already_there": result.skipped,
        "failed": result.failed, "warnings": result.warnings, "result": str(place),
        "text": f"{text}. Result: {place}",
    }  # fmt: skip
    finish(about, result.status, given["as_json"])
