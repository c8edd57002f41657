"""A run's metric table as the authors' tables are: their columns, their folders, their words. The
inverse of `tables.read`, which reads what is written here wherever they have a word for it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lycoris_bench.analysis.columns import trained
from lycoris_bench.analysis.stored_run import open_run
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.published.column_title import View, column_title
from lycoris_bench.published.export_mapping import experiments_of, mapping_of
from lycoris_bench.published.export_words import folder_of, title_of
from lycoris_bench.published.folder_key import FolderKey, folder_key
from lycoris_bench.published.renames import PublishedError
from lycoris_bench.published.table_file import to_csv
from lycoris_bench.published.tables import FOLDER
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import BASE, REAL

ROW = ["configuration", "seed", "epoch", "strength", "category", "class", "subclass", "drawn"]
VIEW = ["metric", "encoder", "resize", "prompt_type"]
METRICS, MAPPING = "metrics.csv", "config_mapping.csv"  # names of the files
SHOWN = 4


@dataclass(frozen=True)
class PaperTable:
    """The table and the mapping of experiments to configurations, as CSV; and the names in them for
    which the authors have no word, so that `import-published` does not read those."""

    metrics: str
    mapping: str
    foreign: tuple[str, ...]

    @property
    def note(self) -> str | None:
        """A sentence on the foreign names."""
        if not self.foreign:
            return None
        more = f" and {len(self.foreign) - SHOWN} more" if self.foreign[SHOWN:] else ""
        return (
            f"the authors have no word for {', '.join(self.foreign[:SHOWN])}{more}: written in "
            "words of this program, which 'import-published' does not read"
        )


def paper_table(folder: Path) -> PaperTable:
    """The metric table of a run in a row for each checkpoint and concept and a column for each
    view. Real images, of which their tables know nothing, are left out. BenchError: the folder is
    no run, or has no scores."""
    run = open_run(folder)
    table, study = run.table("metrics"), run.study
    table = table[table["configuration"] != REAL].reset_index(drop=True)
    if trained(table).empty:
        raise BenchError(f"{run.folder} holds no scores of a checkpoint; run 'lycoris-bench score'")
    names = experiments_of(study)
    foreign: dict[str, None] = {}
    keyed = table.assign(drawn=_drawn(table, study))
    views = keyed[VIEW].drop_duplicates()
    titles = {tuple(v): title_of(View(*v)) for v in views.itertuples(index=False)}
    foreign |= dict.fromkeys(
        f"'{title}'" for view, title in titles.items() if not _read_back(title, View(*view))
    )
    rows: dict[str, dict[str, float]] = {}
    known: dict[tuple[object, ...], str] = {}
    keys = keyed[ROW].astype(object).where(keyed[ROW].notna(), None)
    for key, view, value in zip(
        keys.itertuples(index=False, name=None),
        keyed[VIEW].itertuples(index=False, name=None),
        keyed["value"], strict=True,
    ):  # fmt: skip
        if key not in known:
            asked = _key(key, names)
            known[key] = folder_of(asked)
            if not _key_read_back(known[key], asked):
                foreign[f"'{known[key]}'"] = None
        cells = rows.setdefault(known[key], {})
        if titles[view] in cells:
            raise BenchError(f"{run.folder} has two numbers of {known[key]}, {titles[view]}")
        cells[titles[view]] = value
    mapping, odd = mapping_of(study, names)
    return PaperTable(
        to_csv([FOLDER, *titles.values()],
             ([name, *(_cell(cells.get(t)) for t in titles.values())]
              for name, cells in rows.items())),
        mapping, (*foreign, *odd),
    )  # fmt: skip


def _read_back(title: str, view: View) -> bool:
    try:
        return column_title(title) == view
    except PublishedError:
        return False


def _key_read_back(folder: str, key: FolderKey) -> bool:
    try:
        return folder_key(folder) == key
    except PublishedError:
        return False


def _key(row: tuple[object, ...], names: dict[str, str]) -> FolderKey:
    name, seed, epoch, strength, category, class_name, subclass, drawn = row
    experiment = None if name == BASE else names.get(str(name), f"exp-0000-{name}")
    return FolderKey(
        str(drawn), experiment, _whole(seed), _whole(epoch), float(str(strength)),
        str(category), str(class_name), str(subclass),
    )  # fmt: skip


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _drawn(table: pd.DataFrame, study: Study) -> pd.Series:
    """Sampler and base model of each row, as the authors join them: `ddim-<model>`."""
    name = re.sub(r"[^\w.+]", "-", Path(study.settings.sampling.base_model
                                        or study.settings.base_model).name)  # fmt: skip
    made = f"{study.settings.sampling.sampler.lower()}-{name.strip('-') or 'model'}"
    protocols = table["protocol"] if "protocol" in table else pd.Series("", table.index)

    def said(protocol: str) -> str:
        try:
            return str(json.loads(protocol)["sampler and base model"])  # as an import writes it
        except (ValueError, KeyError, TypeError):
            return made

    known = {protocol: said(protocol) for protocol in protocols.unique()}
    return protocols.map(known)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(float(value))
