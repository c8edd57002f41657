"""Finds the checkpoints among files and folders: adapters in any layout, PEFT folders, and whole
models as folders or single files."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.layer_names import DENOISERS, TEXTS
from lycoris_bench.data.folders import natural
from lycoris_bench.evaluation.about import About, of_adapter
from lycoris_bench.evaluation.moments import Moment, moment_of
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.whole import PEFT, is_model, length_fits
from lycoris_bench.run.folder import STUDY

SUFFIX = ".safetensors"
CKPT = ".ckpt"  # no trainer's state, as other pickles in folders are
PICKLED = (CKPT, ".pt", ".pth", ".bin")
REFUSED = "is a pickle, which may run any code when it is read; only .safetensors is read"
IN_FOLDER = ("pytorch_lora_weights", "adapter_model", "model")
"""Names of files that say nothing: their folder's name does."""
STATE = "-state"  # ends the folder of a training's state, which is no checkpoint
PARTS = (*DENOISERS, *TEXTS)
DEEPEST = 6  # folders below the one that was named


@dataclass(frozen=True)
class Found:
    """A checkpoint: where it lies, what its name says, whether it is a whole model, and what is
    known of its training."""

    path: Path
    moment: Moment
    whole: bool
    about: About

    @property
    def training(self) -> tuple[Path, str]:
        """What the checkpoints of one training share: the folder that they lie in, and their
        name, which is that folder's where their own say the moment alone: `out/checkpoint-500`
        and `out/pytorch_lora_weights.safetensors`, or `out` itself, are of one training."""
        place = self.path.parent
        if self.path.stem in IN_FOLDER:
            place = place.parent
        if not self.moment.training:
            return place.parent, place.name
        return place, self.moment.training


def find(named: Sequence[str | Path], problems: dict[str, str]) -> list[Found]:
    """The checkpoints that are named, and those in folders that are named, each once, in natural
    order of their names. What looks like one and is none is added to `problems`: path -> reason.

    BenchError: what is named does not exist."""
    places: dict[Path, None] = {}
    for name in named:
        place = disk.expand(name).resolve()
        if not place.exists():
            raise BenchError(
                f"{name} does not exist; give adapter files, PEFT folders, models, or a folder "
                "of them"
            )
        inside = list(_checkpoints(place, problems, DEEPEST))
        if not inside and not problems:
            raise BenchError(
                f"{name} holds no checkpoint; {SUFFIX} files, PEFT folders and models are read"
            )
        places |= dict.fromkeys(inside)
    checkpoints = []
    for place in places:
        try:
            checkpoints.append(_found(place))
        except BenchError as error:
            problems[str(place)] = str(error).removeprefix(f"{place}: ").removeprefix(f"{place} ")
    return checkpoints


def _checkpoints(place: Path, problems: dict[str, str], levels: int) -> Iterator[Path]:
    if not place.is_dir():
        if place.suffix.lower() in PICKLED:
            problems[str(place)] = REFUSED
        elif place.suffix.lower() == SUFFIX or not place.is_file():
            yield place
        else:
            problems[str(place)] = f"is no {SUFFIX} file"
        return
    whole, networks = is_model(place), is_peft(place)
    if whole or networks:
        yield place
    if whole or not levels:
        return
    if (place / STUDY).is_file():  # a run folder, whose features are no checkpoints
        place = place / "checkpoints"
        if not place.is_dir():
            return
    with os.scandir(place) as entries:
        inside = [Path(entry.path) for entry in entries if not entry.name.startswith(".")]
    for path in sorted(inside, key=natural):
        if networks and (path.name in PARTS or not path.is_dir()):
            continue  # of the adapter itself; checkpoints of its training lie in other folders
        if path.is_dir():
            if not path.name.endswith(STATE):
                yield from _checkpoints(path, problems, levels - 1)
        elif path.suffix.lower() == SUFFIX and "state" not in path.stem.split("."):
            yield path
        elif path.suffix.lower() == CKPT:
            problems[str(path)] = REFUSED


def whole_checkpoints(folder: Path) -> list[str]:
    """The paths of a folder's checkpoints that are whole, pickles left out."""
    return [str(place) for place in _checkpoints(folder.resolve(), {}, DEEPEST) if is_whole(place)]


def is_whole(place: Path) -> bool:
    """Whether each .safetensors file of a checkpoint has all the bytes that its header promises: a
    trainer may be writing it."""
    files = sorted(place.rglob(f"*{SUFFIX}")) if place.is_dir() else [place]
    return bool(files) and all(map(length_fits, files))


def is_peft(place: Path) -> bool:
    """Whether a folder holds an adapter as PEFT writes it: of one network, or a folder each."""
    return any((part / PEFT).is_file() for part in (place, *(place / name for name in PARTS)))


def _found(place: Path) -> Found:
    """BenchError: it holds no adapter and no model."""
    name = place.name if place.is_dir() else place.stem
    moment = moment_of(name)
    if name in IN_FOLDER:
        moment = moment_of(place.parent.name)
    if is_model(place):
        return Found(place, moment, True, About())
    return Found(place, moment, False, of_adapter(*adapter_file.read(place)))
