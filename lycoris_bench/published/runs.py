"""Which run is made of which of the authors' tables.

A run holds what may be ranked together, and is described by a study that ships with this project:
experiments are found again in it by what they are, so a published checkpoint has the name that it
would have if it were trained here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lycoris_bench.files import parquet
from lycoris_bench.files.checksum import sha256
from lycoris_bench.messages.printable import csv
from lycoris_bench.published import outputs
from lycoris_bench.published.checkout import PROMPTS, Clone
from lycoris_bench.published.experiments import experiments
from lycoris_bench.published.folder_key import FolderKey
from lycoris_bench.published.renames import PublishedError
from lycoris_bench.published.tables import arranged, rows
from lycoris_bench.run import environment
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.study import load as studies
from lycoris_bench.study.records import BASE

FULL, MEANS = "ddim_sd15_metrics.csv", "ddim_sd15_metrics_mean.csv"
CAPTIONS = "captions_metrics.csv"
DISTANCES = ("ddim_sd15_fd.csv", "style_classes_style_losses*.csv")


@dataclass(frozen=True)
class PublishedRun:
    """A run to import: its name, the study that describes it, the patterns of its tables (the first
    must be there, the rest may be), which of their rows it takes, and what it is in words."""

    name: str
    study: str
    tables: tuple[str, ...]
    takes: Callable[[FolderKey], bool]
    what: str


def _a_concept(key: FolderKey) -> bool:
    return bool(key.class_name)


def _a_category(key: FolderKey) -> bool:
    """Means per category. The mean over everything is left out: how it is weighted is not said."""
    return bool(key.category) and not key.class_name


def _everything(key: FolderKey) -> bool:
    return True


RUNS = (
    PublishedRun("captions", "package:configs/captions.toml", (CAPTIONS, FULL), _a_concept,
        "caption study, per (sub)class"),
    PublishedRun("main", "package:configs/paper.toml", (FULL, *DISTANCES), _everything,
        "main study, per (sub)class"),
    PublishedRun("main-means", "package:configs/paper.toml", (MEANS,), _a_category,
        "main study, means per category"),
    PublishedRun("main-classes", "package:configs/paper.toml", (MEANS,), _a_concept,
        "main study, means of classes with sub-classes"),
    PublishedRun("main-distances", "package:configs/paper.toml", DISTANCES, _everything,
        "main study, Frechet distance and style loss to the dataset"),
)  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """A run that was read: its folder, its rows, the study that describes them, the files that they
    come from, and the experiments that were left out."""

    store: Store
    what: str
    table: pd.DataFrame
    study: studies.Study
    sources: dict[str, str]
    left_out: tuple[str, ...]

    @property
    def checkpoints(self) -> int:
        """How many trained checkpoints its rows are of."""
        return _checkpoints(self.table)

    def write(self) -> None:
        """The run's folder, as `analyze` takes it."""
        about = {"what": self.what, "sources": self.sources}
        published = {**about, "experiments_left_out": list(self.left_out)}
        files = {
            "study.toml": self.study.toml().encode(),
            "metrics.parquet": parquet.to_bytes(self.table, ""),
            "metrics.csv": csv(self.table).encode(),
        }
        with self.store.lock():
            provenance = {**environment.provenance(), "published": published}
            outputs.write_run(self.store.root, files, provenance)


def read_runs(clone: Clone, out: Path) -> list[Imported]:
    """Each run whose tables have rows for it, to be a folder of `out`; nothing is written yet."""
    mapping = clone.needed("config_mapping.csv", "it says which experiment is which configuration")
    runs = [_read(run, clone, mapping, Store(out / run.name), out) for run in RUNS]
    if not any(runs):
        raise PublishedError(
            f"no table of {clone.root} has a row of an experiment that {mapping} names and a study "
            "of this project asks for"
        )
    return [run for run in runs if run]


def _read(
    run: PublishedRun, clone: Clone, mapping: Path, store: Store, out: Path
) -> Imported | None:
    if not clone.tables(run.tables[0]):
        return None
    sources = [path for pattern in run.tables for path in clone.tables(pattern)]
    name = f"published-{run.name}"
    try:
        store.belongs_to(name)
    except StoreError as error:  # here it is another option that names the folder
        raise PublishedError(str(error).replace("--run", "--out")) from None
    overrides = [f"name={name}", f"dataset={out.resolve() / 'dataset'}"]
    if clone.one(PROMPTS):
        overrides.append(f"prompts={out.resolve() / 'prompts'}")
    study = studies.load(run.study, overrides)
    known = experiments(mapping, study)
    read = [rows(path, study, known, run.takes) for path in sources]
    parts = [part for part, _ in read if len(part)]
    if not parts:
        return None
    table = arranged(parts, study)
    left_out = tuple(sorted(set().union(*(other for _, other in read))))
    used = {str(path.relative_to(clone.root)): sha256(path) for path in [*sources, mapping]}
    return Imported(store, run.what, table, study, used, left_out)


def _checkpoints(table: pd.DataFrame) -> int:
    trained = table[table["configuration"] != BASE]
    return len(trained[["configuration", "seed", "epoch", "strength"]].drop_duplicates())
