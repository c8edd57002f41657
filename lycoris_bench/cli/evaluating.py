"""What `eval` and `watch` are told alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lycoris_bench.cli.options import (
    SET,
    BatchSize,
    Debug,
    Device,
    KeepImages,
    Run,
    Workers,
    batch_sizes,
)
from lycoris_bench.run import outcome

if TYPE_CHECKING:
    from lycoris_bench.evaluation.evaluation import Asked

Base = Annotated[
    str, typer.Option(metavar="MODEL", help="The base model: a folder, a file or a hub id.")
]
Images = Annotated[
    str, typer.Option(metavar="DIR", help="Real images of what was taught, for one concept alone "
                      "or in folders category/class.")
]  # fmt: skip
Trigger = Annotated[
    str | None, typer.Option(metavar="WORD", help="The word that was taught: olis.")
]
ClassWord = Annotated[str | None, typer.Option(metavar="WORD", help="What it is: toy.")]
Description = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What CLIP reads in place of both (default: the class)."),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|DIR",
        help="Prompts that ask for other contents, one a line, {} for the concept; or a prompt "
        "tree (default: shipped ones, by the class word).",
    ),
]
Heldout = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Real images that were not trained on: the ceiling."),
]
Strength = Annotated[
    list[float] | None,
    typer.Option(metavar="NUMBER", help="Draw at this strength, too (default: 1)."),
]
Encoder = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Score with this encoder (default: the paper's three)."),
]
Count = Annotated[
    int | None, typer.Option(min=2, help="Images of each concept and prompt type (default: 24).")
]


@dataclass(frozen=True)
class Evaluating:
    """The options of both commands: each field is one of them, in the order of their help."""

    base: Base
    images: Images
    trigger: Trigger = None
    class_word: ClassWord = None
    description: Description = None
    prompts: Prompts = None
    heldout: Heldout = None
    strength: Strength = None
    encoder: Encoder = None
    count: Count = None
    run: Run = None
    set_: Annotated[list[str] | None, SET] = None
    device: Device = "auto"
    workers: Workers = None
    batch_size: BatchSize = None
    keep_images: KeepImages = outcome.KeepImages.SAMPLE
    debug: Debug = False

    def asked(self, checkpoints: Sequence[str]) -> "Asked":
        """What was typed, as the evaluation of these checkpoints takes it."""
        from lycoris_bench.evaluation.concepts import Called
        from lycoris_bench.evaluation.evaluation import IMAGES, Asked

        return Asked(
            checkpoints, self.base, self.images, self.heldout,
            Called(self.trigger, self.class_word, self.description), self.prompts,
            self.strength or (), self.encoder or (), self.count or IMAGES,
            [*(self.set_ or ()), *batch_sizes(self.batch_size)],
        )  # fmt: skip

    def folder(self, checkpoints: Sequence[str]) -> Path:
        """The run folder: by default it is called eval-, and what is evaluated."""
        if self.run:
            return self.run
        first = Path(checkpoints[0]).resolve()
        name = first.name if first.is_dir() else first.stem
        known = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "checkpoints"
        return Path("runs") / f"eval-{known}"[:80]
