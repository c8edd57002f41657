"""Where the paths of a study file lead: relative to its folder, or into what ships with
lycoris-bench."""

import re
from pathlib import Path

from lycoris_bench.files import disk

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")  # ends of files, never of a repository


def locate(name: str, folder: Path) -> Path:
    """A path relative to `folder`, or `package:path` inside what ships with lycoris-bench."""
    return folder.resolve() / disk.expand(name)


def is_hub_id(name: str, folder: Path) -> bool:
    """Whether it reads `owner/name`, or `owner/name@revision`, and there is no such file."""
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?", name)
    return bool(named) and not name.endswith(WEIGHTS) and not (folder / name).exists()
