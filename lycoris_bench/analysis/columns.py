"""The columns of the analysis, declared once: what names a checkpoint, a view and a concept."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from lycoris_bench.analysis.coded import is_coded, text, texts
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.prompt_types import GIVEN, TYPES
from lycoris_bench.study.records import BASE, REAL, MetricRow

CHECKPOINT = ["configuration", "algorithm", "seed", "epoch", "strength"]
SERIES = "series"  # the name of a configuration at one strength (series.py)
VIEW = ["metric", "encoder", "resize", "prompt_type"]  # one way of looking at a checkpoint
SECOND = "second"  # concept of prompts that name two, "" of all others; a table may lack it
CONCEPT = ["category", "class", "subclass", SECOND]  # what an image set is of
GROUP = [*VIEW, *CONCEPT]  # what is ranked together
PROTOCOL = "protocol"  # of the images, as JSON; a table may lack it
NUMBERS = ("seed", "epoch", "strength", "value", "n")  # all other columns are names
WHOLE = ("seed", "epoch", "n")
KINDS = {"i": "integer", "u": "integer", "f": "floating"}  # of numbers, by numpy's letters
LEAST = {"seed": 0, "epoch": 0, "n": 1}
UNASKED = tuple(name for name, row in TYPES.items() if row.expects_no_concept)
"""The prompt types in which nothing asks for the concept."""
T = TypeVar("T")
OVERALL = "all categories"  # stands in the column "category" for the mean over all of them


@dataclass(frozen=True)
class Criterion:
    """One of the questions a reader has, and the number that answers it (paper 5.2)."""

    key: str
    metric: str
    prompt_type: str
    heading: str
    verdict: str  # "<configuration> <verdict>", where it is alone at the top

    @property
    def what(self) -> str:
        return f"{words(self.metric)} on {self.prompt_type} prompts"


CRITERIA = (
    Criterion("fidelity", "image_similarity", "trigger", "Fidelity", "is the most faithful"),
    Criterion("control", "text_similarity", "alter", "Control", "is the most controllable"),
    Criterion("diversity", "vendi", "trigger", "Diversity", "is the most diverse"),
    Criterion(
        "preservation", "style_loss", "style", "Preservation", "preserves the base model best"
    ),
)
# What real images are, by whether they were held out (None: unknown): the name of the ceiling, and
# what lies above it is closer to the training images than ... are.
CEILING = {
    True: ("held-out real images", "held-out real images are"),
    False: ("the training images among themselves", "half of them are to the other half"),
    None: ("real images", "other real images are"),
}
# What the authors explain (paper 5.3), in their order.
EXPLAINED = (
    ("image_similarity", "alter"),
    ("image_similarity", "trigger"),
    ("image_similarity", "train"),
    ("text_similarity", "alter"),
    ("vendi", "trigger"),
    ("style_loss", "style"),
)


def as_drawn(
    axes: Iterable[tuple[str, str]], there: Collection[tuple[str, str]]
) -> list[tuple[str, str]]:
    """(metric, prompt type) as a table has them: images that exist already were drawn by prompts of
    no type, which stand in where a table has a metric on these alone.

    >>> as_drawn([("vendi", "trigger"), ("a", "style")], {("vendi", "given"), ("a", "style")})
    [('vendi', 'given'), ('a', 'style')]
    """
    return [
        (metric, GIVEN) if (metric, kind) not in there and (metric, GIVEN) in there
        else (metric, kind)
        for metric, kind in axes
    ]  # fmt: skip


def criteria_in(there: Collection[tuple[str, str]]) -> list[Criterion]:
    """The criteria, on the prompts that a table has them on."""
    kinds = as_drawn([(c.metric, c.prompt_type) for c in CRITERIA], there)
    return [replace(c, prompt_type=kind) for c, (_, kind) in zip(CRITERIA, kinds, strict=True)]


def judged_in(found: Mapping[str, Any]) -> list[Criterion]:
    """The criteria that findings of a category have, on the prompts they were judged on."""
    return [replace(c, prompt_type=found[c.key]["prompt_type"]) for c in CRITERIA if c.key in found]


def explained(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """(metric, prompt type) of the paper's explanations that a table has; all it has if none."""
    there = metrics_and_kinds(rows)
    return [pair for pair in EXPLAINED if pair in there] or there


def explained_beside(
    criteria: Iterable[Criterion], there: Collection[tuple[str, str]]
) -> list[tuple[str, str]]:
    """(metric, prompt type) of the paper's explanations that a table has and no criterion is."""
    judged = {(c.metric, c.prompt_type) for c in criteria}
    return [pair for pair in EXPLAINED if pair in there and pair not in judged]


def metrics_and_kinds(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """(metric, prompt type) of the rows, each once, in their order."""
    pairs = rows[["metric", "prompt_type"]].drop_duplicates()
    return [*pairs.itertuples(index=False, name=None)]


def words(name: str) -> str:
    """A column's value as one says it.

    >>> words("image_similarity"), words("vendi")
    ('image similarity', 'Vendi score')
    """
    return {"vendi": "Vendi score"}.get(name, name.replace("_", " "))


def check(metrics: pd.DataFrame, source: str = "the metric table") -> pd.DataFrame:
    """The table with its columns complete and its missing values left out.

    Seeds and epochs are nullable integers: adapters from elsewhere have neither. Where `series` is
    not there, strengths are not told apart: each configuration is its own; `protocol` and `second`
    are "" where they are not said. BenchError, beginning with `source`: a column is missing or
    holds what it cannot."""
    needed = [name for name in MetricRow.columns() if name not in (PROTOCOL, SECOND)]
    if missing := [name for name in needed if name not in metrics]:
        raise BenchError(f"{source} lacks the columns: {', '.join(missing)}")
    rows = metrics[metrics["value"].notna()].reset_index(drop=True)
    rows["subclass"] = _filled(rows["subclass"])
    for name in (PROTOCOL, SECOND):
        rows[name] = _filled(rows[name]) if name in rows else ""
    for name in MetricRow.columns():
        _refuse_other_kinds(rows[name], source)
    if unnamed := int((rows["configuration"].str.strip() == "").sum()):
        raise BenchError(
            f"{source}: column 'configuration' is empty in {unnamed} of {len(rows)} "
            "rows; a name is needed"
        )
    for said in ordered(rows[PROTOCOL]):
        if said and not _is_object(said):
            raise BenchError(
                f"{source}: column '{PROTOCOL}' has {said[:40]!r}; a JSON object is needed, or "
                "nothing where it is not known how the images were drawn"
            )
    rows = rows.astype({"value": "float64", "seed": "Int64", "epoch": "Int64"})
    if SERIES not in rows:
        rows[SERIES] = rows["configuration"]
    if infinite := int(np.isinf(rows["value"]).sum()):
        raise BenchError(f"{source} has {infinite} infinite values: they cannot be compared")
    if unmarked := int((rows["fingerprint"].str.strip() == "").sum()):
        raise BenchError(
            f"{source}: column 'fingerprint' is empty in {unmarked} of {len(rows)} rows; it says "
            "which numbers may be compared: run 'lycoris-bench score', or write one text for all "
            "numbers of a metric and concept that were measured alike"
        )
    if odd := {*rows["better"].unique()} - {"higher", "lower"}:
        raise BenchError(f"{source}: better is {', '.join(sorted(odd))}; allowed: higher, lower")
    return rows


def _filled(column: pd.Series) -> pd.Series:
    return text(column).fillna("") if column.isna().any() else column


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def check_file(metrics: pd.DataFrame, source: str) -> pd.DataFrame:
    """As `check`, of a table as it lies in a file, where no number stands for an absent one."""
    rows = check(metrics, source)
    for name, least in LEAST.items():
        if (rows[name].dropna().astype("float64") < least).any():
            raise BenchError(f"{source}: column '{name}' has numbers below {least}")
    return rows


def _refuse_other_kinds(column: pd.Series, source: str) -> None:
    """Names are texts and complete; numbers are numbers, seeds and epochs whole or absent."""
    name, cells = column.name, column.cat.categories if is_coded(column) else column
    kind = KINDS.get(cells.dtype.kind) or pd.api.types.infer_dtype(
        cells.astype("object"), skipna=True
    )
    if name not in NUMBERS:
        if kind not in ("string", "empty") or column.isna().any():
            found = "empty cells" if column.isna().any() else f"values of another kind ({kind})"
            raise BenchError(f"{source}: column '{name}' has {found}; texts are needed")
    elif kind not in ("integer", "floating", "mixed-integer-float", "empty"):
        raise BenchError(
            f"{source}: column '{name}' has values of another kind ({kind}); numbers are needed"
        )
    elif name in WHOLE and (column.dropna().astype("float64") % 1 != 0).any():
        raise BenchError(f"{source}: column '{name}' has fractions; whole numbers are needed")
    elif name in ("strength", "n") and column.isna().any():
        raise BenchError(f"{source}: column '{name}' has empty cells; numbers are needed")


def trained(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of checkpoints: base and real images are shown beside them, never among them."""
    return metrics[~metrics["configuration"].isin([BASE, REAL])].reset_index(drop=True)


def reference_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the base model (the floor) and of real images (the ceiling)."""
    return metrics[metrics["configuration"].isin([BASE, REAL])].reset_index(drop=True)


def at_last_epoch(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last epoch, and those of adapters from elsewhere, which have no epoch."""
    return rows[(rows["epoch"] == rows["epoch"].max()) | rows["epoch"].isna()]


def main_views(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows seen through each metric's first encoder and resizing, the study's main ones."""
    of_checkpoints = metrics[~metrics["configuration"].isin([BASE, REAL])]
    return seen_as(first_views(of_checkpoints), metrics)


def first_views(rows: pd.DataFrame) -> pd.DataFrame:
    """Each metric's first encoder and resizing: one row a metric."""
    return texts(rows.drop_duplicates("metric")[["metric", "encoder", "resize"]])


def seen_as(views: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose metric, encoder and resizing are in `views`."""
    there = pd.Series(False, index=rows.index)
    for metric, encoder, resize in views.itertuples(index=False):
        there |= (rows["metric"] == metric) & (rows["encoder"] == encoder) & (
            rows["resize"] == resize
        )  # fmt: skip
    return rows[there].reset_index(drop=True)


def ordered(values: Iterable[T]) -> list[T]:
    """Each value once, in the order of the table, which is the study's."""
    if isinstance(values, pd.Series):  # by their codes: there may be a million
        return list(values.unique().tolist())
    return list(dict.fromkeys(values))
