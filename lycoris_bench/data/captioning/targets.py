"""The files that captions are written to, next to the images; only captions are overwritten."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from lycoris_bench.data.caption_files import METADATA, CaptionFiles
from lycoris_bench.data.folders import Folders
from lycoris_bench.data.images import NOT_READ, SUFFIXES, DataError
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural

OF_OTHERS = {
    *SUFFIXES, *NOT_READ, disk.PARTIAL, ".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx",
    ".npy", ".npz", ".parquet", ".csv", ".toml", ".json", ".jsonl", ".yaml", ".yml", ".py", ".md",
}  # fmt: skip
"""Suffixes that a caption never has: what lies under them is no text, or somebody else's."""


def extension(given: str) -> str:
    """The extension, checked. BenchError: it is no extension, or one that other files have."""
    if not re.fullmatch(r"\.[^/\\\s]*[^/\\\s.]", given) or not given.isprintable():
        raise BenchError(f"--extension is '{given}'; it begins with a dot, like '.txt'")
    if Path(f"x{given}").suffix.lower() in OF_OTHERS:
        raise BenchError(
            f"--extension is '{given}', which other files have; use .txt or one of your own, "
            "like .caption"
        )
    return given


def places(
    folder: Path, images: Sequence[Path], extension: str, *, tagged: bool, force: bool
) -> dict[Path, Path]:
    """Image -> its caption's file, which may be there; none for an image whose caption is in a
    list (`metadata.jsonl`). What a killed run left half is removed.

    `tagged`: captions differ from image to image, so that two images of one stem cannot share a
    file. DataError: names everything that is wrong."""
    problems: list[str] = []
    files = CaptionFiles(Folders(folder, problems), extension)
    captions = {image: files.file(image) or image.with_suffix(extension) for image in images}
    listed = {i: None for i in images if files.listed(i) is not None}
    if listed and force:
        problems.append(
            f"{METADATA} has the captions of {plural(len(listed), 'image')}, "
            f"{next(iter(listed))} for one, and goes before files; take them out of it"
        )
    root = folder.resolve()
    owner: dict[Path, Path] = {}
    for image, path in captions.items():
        if root not in (image.parent.resolve(), *image.parent.resolve().parents):
            problems.append(
                f"{image.parent} is a link to {image.parent.resolve()}, and captions are written "
                f"in {folder} alone; put the images there"
            )
        elif kind := disk.kind_of(path):
            problems.append(f"{path} is {kind}, which is not replaced; remove it")
        elif path.is_file() and _binary(path):
            problems.append(f"{path} is there and is no text; remove it, or use another extension")
        if tagged and path in owner:
            problems.append(f"{owner[path]} and {image} would share {path.name}; rename one")
        owner[path] = image
    if problems:
        raise DataError(f"captions of {folder}", list(dict.fromkeys(problems)))
    _sweep(owner)
    return {image: path for image, path in captions.items() if image not in listed}


def _binary(path: Path) -> bool:
    with path.open("rb") as handle:
        start = handle.read(4096)
    return b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff"))


def _sweep(captions: dict[Path, Path]) -> None:
    """Removes partial files of processes that have ended."""
    for place in {path.parent for path in captions}:
        for path in place.glob(f"*{disk.PARTIAL}"):
            name, _, process = path.name.removesuffix(disk.PARTIAL).rpartition(".")
            if place / name in captions and process.isdecimal() and not _alive(int(process)):
                path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
