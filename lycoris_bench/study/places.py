"""Where the paths of a study file lead: relative to its folder, or into what ships with
lycoris-bench."""

import re
from importlib.resources import files
from pathlib import Path

from lycoris_bench.files import disk

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")  # ends of files, never of a repository
PACKAGE = "package:"  # what ships with lycoris-bench: `package:configs/demo.toml`
SHIPPED_BESIDE = ("configs", "prompts")  # folders that lie beside the package in a source tree


def locate(name: str, folder: Path) -> Path:
    """A path relative to `folder`, or `package:path` inside what ships with lycoris-bench."""
    if not name.startswith(PACKAGE):
        return folder.resolve() / disk.expand(name)
    package = Path(str(files("lycoris_bench")))
    inside = name.removeprefix(PACKAGE)
    roots = (package, package / "share", package.parent)  # installed, or in the source tree
    return next((root / inside for root in roots if (root / inside).exists()), package / inside)


def as_shipped(path: str) -> str:
    """The path of what ships with lycoris-bench as `package:path`, which is the same on every
    machine; any other path as it is."""
    place, package = Path(path), Path(str(files("lycoris_bench")))
    beside = (package.parent / name for name in SHIPPED_BESIDE)
    for root in (package / "share", package, *(p.parent for p in beside if p in place.parents)):
        if place.is_relative_to(root):
            name = f"{PACKAGE}{place.relative_to(root).as_posix()}"
            return name if locate(name, place) == place else path
    return path


def is_hub_id(name: str, folder: Path) -> bool:
    """Whether it reads `owner/name`, or `owner/name@revision`, and there is no such file."""
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?", name)
    return bool(named) and not name.endswith(WEIGHTS) and not (folder / name).exists()
