"""What ships with lycoris-bench, by names that are the same on every machine:
`package:configs/demo.toml`. Standard library only, so that everything may import it."""

from importlib.resources import files
from pathlib import Path

PACKAGE = "package:"  # before a path inside what ships
BESIDE = ("configs", "prompts")  # folders that lie beside the package in a source tree


def shipped(name: str) -> Path:
    """The place of `package:path`, whether or not anything is there."""
    package = Path(str(files("lycoris_bench")))
    inside = name.removeprefix(PACKAGE)
    roots = (package, package / "share", package.parent)  # installed, or in the source tree
    return next((root / inside for root in roots if (root / inside).exists()), package / inside)


def as_shipped(path: str) -> str:
    """The path of what ships as `package:path`; any other path as it is."""
    place, package = Path(path), Path(str(files("lycoris_bench")))
    beside = (package.parent / name for name in BESIDE)
    for root in (package / "share", package, *(p.parent for p in beside if p in place.parents)):
        if place.is_relative_to(root):
            name = f"{PACKAGE}{place.relative_to(root).as_posix()}"
            return name if shipped(name) == place else path
    return path
