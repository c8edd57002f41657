"""A wide table of the authors becomes rows of the metric table."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from lycoris_bench.files.identity import uid
from lycoris_bench.published.column_title import View, column_title
from lycoris_bench.published.folder_key import FolderKey, folder_key
from lycoris_bench.published.renames import IMAGES, METRICS, PROMPT_TYPES, RANGES, PublishedError
from lycoris_bench.published.table_file import number, titled_rows
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import BASE, Configuration, MetricRow

FOLDER = "Folder"
PROMPT_TYPE_ORDER = (*PROMPT_TYPES.values(), "style")
Keep = Callable[[FolderKey], bool]


def rows(
    path: Path, study: Study, known: Mapping[str, Configuration], keep: Keep
) -> tuple[pd.DataFrame, set[str]]:
    """(MetricRows of a table, experiments that were left out as the study does not ask for them).

    An empty cell gives no row: absent is absent."""
    wide, keys, views = read(path)
    other = {key.experiment for key in keys if key.experiment and key.experiment not in known}
    wanted = [keep(key) and key.experiment not in other for key in keys]
    wide = wide.loc[wanted].reset_index(drop=True)
    keys = [key for key, there in zip(keys, wanted, strict=True) if there]
    left_out = {name for name in other if name}
    if not keys:
        return pd.DataFrame(columns=MetricRow.columns()), left_out
    about = _about(keys, study, known)
    parts = []
    for title, view in views.items():
        part = about.assign(**asdict(view), value=wide[title], better=view.better)
        part["fingerprint"] = _fingerprints(part, view)
        parts.append(part[part["value"].notna()])
    made = pd.concat(parts, ignore_index=True)
    return made.reindex(columns=MetricRow.columns()), left_out


def read(path: Path) -> tuple[pd.DataFrame, list[FolderKey], dict[str, View]]:
    """(numbers in columns by their titles, the key of each row, the view of each column).

    PublishedError names the file, the line and the column of what is damaged."""
    titles, rows = titled_rows(path)
    if not titles or titles[0] != FOLDER:
        raise PublishedError(f"{path} has no first column '{FOLDER}': it is no table of metrics")
    if len(titles) < 2 or not rows:
        lacking = "row under its titles" if len(titles) > 1 else f"column but '{FOLDER}'"
        raise PublishedError(f"{path} has no {lacking}; the file is damaged")
    views, keys, seen = {}, [], set()
    for title in titles[1:]:
        with _where(f"{path}, column '{title}'"):
            views[title] = column_title(title)
    for line, row in rows:
        with _where(f"{path}, line {line}"):
            keys.append(folder_key(row[0]))
        if row[0] in seen:
            raise PublishedError(f"{path}, line {line}: it has two rows of {row[0]}")
        seen.add(row[0])
    drawn = {key.drawn for key in keys if key.experiment}
    for (line, row), key in zip(rows, keys, strict=True):
        if drawn and key.drawn not in drawn:
            raise PublishedError(
                f"{path}, line {line}: folder '{row[0]}' names no experiment, and no experiment of "
                f"the table is drawn with its model ({', '.join(sorted(drawn))} are)"
            )
    columns = {
        title: pd.Series(
            [number(path, line, title, row[k], RANGES[views[title].metric]) for line, row in rows],
            dtype=float,
        )
        for k, title in enumerate(titles[1:], 1)
    }
    return pd.DataFrame(columns, index=range(len(rows))), keys, views


@contextlib.contextmanager
def _where(place: str) -> Iterator[None]:
    """Says where what is wrong stands."""
    try:
        yield
    except PublishedError as error:
        raise PublishedError(f"{place}: {error}") from None


def arranged(parts: Iterable[pd.DataFrame], study: Study) -> pd.DataFrame:
    """One table in the study's order, so that its first encoder and resizing are the main ones."""
    table = pd.concat(parts, ignore_index=True)
    encoders = [spec.partition(":")[0] for spec in study.settings.scoring.encoders]
    orders: dict[str, list[str]] = {
        "metric": list(METRICS.values()),
        "encoder": list(dict.fromkeys(encoders)),
        "view": list(study.settings.scoring.encoders),
        "prompt_type": list(PROMPT_TYPE_ORDER),
        "configuration": [BASE, *(c.name for c in study.configurations)],
    }
    columns = table.assign(view=table["encoder"] + ":" + table["resize"])
    for name, order in orders.items():
        columns[name] = columns[name].map({value: k for k, value in enumerate(order)})
    places = columns.sort_values([*orders, "seed", "epoch", "strength"], kind="stable").index
    return table.loc[places].astype({"seed": "Int64", "epoch": "Int64"}).reset_index(drop=True)


def _about(keys: list[FolderKey], study: Study, known: Mapping[str, Configuration]) -> pd.DataFrame:
    """Per row of theirs: checkpoint and concept, under our names."""
    records = []
    for key in keys:
        trained = known[key.experiment] if key.experiment else None
        records.append({
            "study": study.name,
            "configuration": trained.name if trained else BASE,
            "algorithm": trained.algorithm if trained else BASE,
            "seed": key.seed, "epoch": key.epoch, "strength": key.strength,
            "category": key.category, "class": key.class_name, "subclass": key.subclass,
            "n": IMAGES, "protocol": json.dumps({"sampler and base model": key.drawn}),
            "second": "", "drawn": key.drawn, "captions": trained.captions if trained else "",
        })  # fmt: skip
    return pd.DataFrame(records)


def _fingerprints(part: pd.DataFrame, view: View) -> pd.Series:
    """Equal where numbers may be ranked together: same view, concept, sampler and base model.

    Captions matter where images are compared with their own text: on train prompts that is the
    caption itself, and another strategy has another. Reference images are the same for all."""
    own = view.metric == "text_similarity" and view.prompt_type == "train"
    names = ["drawn", "category", "class", "subclass", *(["captions"] if own else [])]
    marks = [
        uid("published", asdict(view), IMAGES, *row)
        for row in part[names].drop_duplicates().itertuples(index=False)
    ]
    groups = part.groupby(names, sort=False, dropna=False).ngroup()  # in order of appearance, too
    return groups.map(dict(enumerate(marks)))
