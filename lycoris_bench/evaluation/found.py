"""Finds the checkpoints among files and folders: adapters in any layout, PEFT folders, and whole
models as folders or single files."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.layer_names import DENOISERS, TEXTS
from lycoris_bench.data.folders import natural
from lycoris_bench.evaluation.about import About, of_adapter
from lycoris_bench.evaluation.moments import Moment, moment_of
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.partial import is_denoiser, lacking
from lycoris_bench.models.whole import PEFT, is_model, lacking_in_file, length_fits, names_in
from lycoris_bench.run.folder import STUDY

SUFFIX = ".safetensors"
CKPT = ".ckpt"  # no trainer's state, as other pickles in folders are
PICKLED = (CKPT, ".pt", ".pth", ".bin")
REFUSED = "is a pickle, which may run any code when it is read; only .safetensors is read"
IN_FOLDER = ("pytorch_lora_weights", "adapter_model", "model")
"""Names of files that say nothing: their folder's name does."""
STATE = "-state"  # ends the folder of a training's state, which is no checkpoint
PARTS = (*DENOISERS, *TEXTS)
UNET = "down_blocks.0.resnets.0.conv1.weight"  # of a U-Net alone under diffusers' names
OF_MODELS = {  # by diffusers' and transformers' names, which no adapter has
    "a whole model under diffusers' names in one file": (
        "unet.down_blocks.0.resnets.0.conv1.weight", "vae.encoder.conv_in.weight",
    ),
    "a VAE": ("encoder.conv_in.weight", "decoder.conv_in.weight"),
    "a text encoder": (
        "text_model.embeddings.token_embedding.weight", "text_model.encoder.layers.0.layer_norm1.",
    ),
}  # fmt: skip
MODELS = "whole models are read as pipeline folders, or as files with CompVis's names"
DEEPEST = 6  # folders below the one that was named


@dataclass(frozen=True)
class Found:
    """A checkpoint: where it lies, what its name says, whether it is a whole model and which parts
    of one it lacks, and what is known of its training. `inside`: its folder's name dates it."""

    path: Path
    moment: Moment
    whole: bool
    about: About
    lacks: tuple[str, ...] = ()
    inside: bool = False

    @property
    def training(self) -> tuple[Path, str]:
        """What the checkpoints of one training share: the folder that they lie in, and their
        name, which is that folder's where their own say the moment alone: `out/checkpoint-500`
        and `out/pytorch_lora_weights.safetensors`, or `out` itself, are of one training."""
        place = self.path.parent.parent if self.inside else self.path.parent
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
    if not levels or (whole and is_denoiser(place)):
        return
    if (place / STUDY).is_file():  # a run folder, whose features are no checkpoints
        place = place / "checkpoints"
        if not place.is_dir():
            return
    with os.scandir(place) as entries:
        inside = [Path(entry.path) for entry in entries if not entry.name.startswith(".")]
    for path in sorted(inside, key=natural):
        if whole and not (path.is_dir() and _is_dated(path)):
            continue  # of the model itself; its trainer leaves checkpoints among its parts
        if networks and (path.name in PARTS or not path.is_dir()):
            continue  # of the adapter itself; checkpoints of its training lie in other folders
        if path.is_dir():
            if not path.name.endswith(STATE):
                yield from _checkpoints(path, problems, levels - 1)
        elif path.suffix.lower() == SUFFIX and "state" not in path.stem.split("."):
            yield path
        elif path.suffix.lower() == CKPT:
            problems[str(path)] = REFUSED


def _is_dated(folder: Path) -> bool:
    return moment_of(folder.name).at is not None


Stamp = tuple[tuple[str, int, int, int], ...]
"""Of each file of a checkpoint: its name, size, time and number on the disk. A file that is written
again, or put in another's place, has another."""


def whole_checkpoints(folder: Path) -> dict[str, Stamp]:
    """The paths of a folder's checkpoints that are whole, with the stamp of each; pickles are left
    out."""
    return {str(place): _stamp(place) for place in _inside(folder) if is_whole(place)}


def unfinished(folder: Path) -> list[str]:
    """The paths of a folder's checkpoints that are not whole."""
    return [str(place) for place in _inside(folder) if not is_whole(place)]


def _inside(folder: Path) -> list[Path]:
    return [*_checkpoints(folder.resolve(), {}, DEEPEST)]


def is_whole(place: Path) -> bool:
    """Whether each .safetensors file of a checkpoint has all the bytes that its header promises: a
    trainer may be writing it."""
    files = _files(place)
    return bool(files) and all(map(length_fits, files))


def _stamp(place: Path) -> Stamp:
    stamps = []
    for file in _files(place):
        with contextlib.suppress(FileNotFoundError):  # which its trainer has just removed
            about = file.stat()
            stamps.append((str(file), about.st_size, about.st_mtime_ns, about.st_ino))
    return tuple(stamps)


def _files(place: Path) -> list[Path]:
    """The .safetensors files of a checkpoint, without those of others in its folder."""
    if not place.is_dir():
        return [place]
    return sorted(
        file
        for file in place.rglob(f"*{SUFFIX}")
        if not any(map(_is_dated, file.relative_to(place).parents))
    )


def is_peft(place: Path) -> bool:
    """Whether a folder holds an adapter as PEFT writes it: of one network, or a folder each."""
    return any((part / PEFT).is_file() for part in (place, *(place / name for name in PARTS)))


def _found(place: Path) -> Found:
    """BenchError: it holds no adapter and no model."""
    name = place.name if place.is_dir() else place.stem
    if is_model(place):
        if place.is_file():
            _must_be_whole(place)
        lacks = tuple(lacking(place))
        if place.is_dir() and is_denoiser(place):
            of_folder = replace(moment_of(place.parent.name), training=name)
            return Found(place, of_folder, True, About(), lacks, inside=True)
        return Found(place, moment_of(name), True, About(), lacks)
    inside = name in IN_FOLDER
    moment = moment_of(place.parent.name if inside else name)
    if place.is_file() and UNET in names_in(place):
        raise BenchError(
            "holds a U-Net without its configuration; give the folder that a trainer saves with "
            "one: checkpoint-500, with unet/config.json in it"
        )
    if place.is_file() and (part := _part_of_model(names_in(place))):
        raise BenchError(f"holds {part}, and no adapter; {MODELS}")
    return Found(place, moment, False, of_adapter(*adapter_file.read(place)), inside=inside)


def _must_be_whole(file: Path) -> None:
    """BenchError: a model in one file is cut short, or lacks a part without which it cannot
    draw."""
    if not length_fits(file):
        raise BenchError("is shorter than its header says: it was cut, or is still being written")
    if lacks := lacking_in_file(names_in(file)):
        raise BenchError(f"holds a U-Net without {' and '.join(lacks)}; {MODELS}")


def _part_of_model(names: set[str]) -> str | None:
    """Which model, or part of one, a file's tensors are, if they are no adapter's."""
    return next((what for what, starts in OF_MODELS.items() if _begins(names, starts)), None)


def _begins(names: set[str], starts: tuple[str, ...]) -> bool:
    return any(name.startswith(starts) for name in names)
