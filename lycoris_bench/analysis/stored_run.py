"""A run folder opened for reading: its study, and its tables as data frames."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lycoris_bench.analysis.image_numbers import image_numbers
from lycoris_bench.analysis.several_concepts.differences import DIFFERENCES
from lycoris_bench.analysis.trust.judge import TRUST
from lycoris_bench.messages.arguments import PATH, TEXT
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.planning import scored_rows
from lycoris_bench.run.folder import STUDY, StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.study import load as studies
from lycoris_bench.study.load import Study

TABLES = {
    "metrics": "score",  # table -> the stage that writes it
    "scores": "analyze",
    "aggregate": "analyze",
    "shap": "analyze",
    "correlation": "analyze",
    **dict.fromkeys(TRUST, "analyze"),  # where the truth is known
    "copies": "analyze",  # where copy rates were computed
    "leaks": "analyze",  # where there are prompts that do not ask for the concept
    "longer": "analyze",  # where there is more than one epoch
    **dict.fromkeys(DIFFERENCES, "analyze"),  # where concepts were taught alone too
}


@dataclass(frozen=True)
class StoredRun:
    """A run folder; nothing of it is changed, and what is read is checked.

    `folder`: its path; `study`: the study as it was last run; `tables`: names of the tables that
    there are, each read by `table(name)`; `findings`: what the analysis found; `report`: its
    page."""

    folder: Path

    @cached_property
    def study(self) -> Study:
        """The study as it was last run."""
        return studies.load_stored(Store(self.folder).study)

    @property
    def tables(self) -> list[str]:
        """The tables that there are."""
        store = Store(self.folder)
        return [name for name in TABLES if store.table(name).exists()]

    def table(self, name: str = "metrics") -> pd.DataFrame:
        """A table as the stages wrote it: "metrics" with a row for every number; "scores" (ranks),
        "aggregate", "shap" and "correlation" of the analysis; "agreements", "misled" and "choices"
        of the metrics with the truth, where that is known; "copies" and "leaks" (copying/rates.py,
        leak.py), where they were asked for; "longer" (longer.py), where there are epochs to
        compare; "interference" and "merging", where concepts were taught alone too.

        StoreError: no such table, or it is missing or damaged. A metric table that holds numbers
        of other settings than the run has now is a warning that names their checkpoints."""
        TEXT.check("name", name)
        if name not in TABLES:
            raise StoreError(unknown("table", name, TABLES))
        store = Store(self.folder)
        if (stored := store.frame(store.table(name))) is None:
            state = "is damaged" if store.table(name).exists() else "is missing"
            raise StoreError(f"{store.table(name)} {state}; run 'lycoris-bench {TABLES[name]}'")
        frame: pd.DataFrame = stored[0]
        others = scored_rows.of_other_settings(store, *stored) if name == "metrics" else []
        if others:
            warnings.warn(
                f"{store.table(name)} holds the numbers of other settings or data than the run has "
                f"now, of {', '.join(others[:3])}; run 'lycoris-bench score'",
                stacklevel=2,
            )
        return frame

    def parts(self, views: pd.DataFrame) -> pd.DataFrame:
        """What `score` keeps of parts of image sets, seen as `views` (a row for each metric,
        encoder, resizing and prompt type): a row for each image (`image` is its name), or for each
        half where a metric has no number of a single image. Empty where the run has none.

        StoreError: a table of them is damaged."""
        store = Store(self.folder)
        sources = scored_rows.sources_in(self.table("metrics"), self.study)
        return image_numbers(store, sources, views)

    @property
    def findings(self) -> dict[str, Any]:
        """What the analysis found, sentences among it."""
        store = Store(self.folder)
        findings = store.read_json(store.findings)
        if not isinstance(findings, dict):
            raise StoreError(f"{store.findings} is missing; run 'lycoris-bench analyze'")
        return findings

    @property
    def report(self) -> Path:
        """The page of the analysis."""
        return Store(self.folder).report


def open_run(folder: str | Path) -> StoredRun:
    """A run folder's study, tables and findings. StoreError: it is no run folder."""
    PATH.check("folder", folder)
    store = Store(folder)
    if not store.study.is_file():
        state = f"is no run folder: it has no {STUDY}" if store.root.exists() else "does not exist"
        runs = sorted(path.parent.name for path in store.root.glob(f"*/{STUDY}"))
        inside = f"; it has the runs {', '.join(runs[:6])}" if runs else ""
        raise StoreError(f"{store.root} {state}{inside}")
    return StoredRun(store.root)
