"""Records of what was run, when and on which machine: one file per command, never overwritten."""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.run.folder import PROVENANCE
from lycoris_bench.run.safe_names import safe

STUDY_NAME, PRECISION = "study", "precision"
"""Keys of a record: which study the run is of, and what its images are drawn in. They are asked
where the run's own study file is lost or damaged."""


def new_place(root: Path, about: Mapping[str, Any]) -> Path:
    """The path of a new record, under a name that no other has."""
    words = (about.get("stage", "run"), about.get("time", "").replace(":", ""))
    name = "-".join(safe(str(word)) for word in (*words, about.get("host", "")) if word)
    folder = root / PROVENANCE
    count = len(list(folder.glob(f"{glob.escape(name)}*.json")))  # within the same second
    return folder / f"{name}{f'-{count + 1}' if count else ''}.json"


def places(root: Path) -> list[Path]:
    """The paths of all records: one per command, and the single file that versions before 0.2
    and `import-published` write."""
    folder = root / PROVENANCE
    return [folder.with_suffix(".json"), *sorted(folder.glob("*.json"))]
