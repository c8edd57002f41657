"""Which setting a claim varies, and the pairs of configurations that differ in it alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import SERIES
from lycoris_bench.analysis.importance import NATIVE

DIM, FACTOR = "dim", "factor"
LABELS = ["lr_level"]  # what another column already says
NAMES = (SERIES, "configuration", "importance")  # no settings
ADAPTERS = ("lora", "loha", "lokr")
RATES = {5e-6: "native-fast", 1e-6: "native"}  # native's columns of Table 1


def settings(factors: pd.DataFrame) -> pd.DataFrame:
    """factors + `scale` (alpha / dim) and `member` (the column of Table 1, or "").

    Native fine-tuning has the capacity of a default: that it has another than adapters have is
    what its algorithm says. Columns that a study lacks are empty."""
    table = factors.drop(columns=[name for name in LABELS if name in factors]).copy()
    for name in (DIM, "alpha", FACTOR):
        table[name] = table[name].astype("float64") if name in table else float("nan")
    table["scale"] = table["alpha"] / table[DIM]
    table["lr"] = table["lr"].astype("float64")
    table["importance"] = table["importance"].astype(bool)
    table["capacity"] = table["capacity"].replace(NATIVE, 1)
    names = members(factors)
    return table.assign(member=[names.get(s, "") for s in table[SERIES]])


def members(factors: pd.DataFrame) -> dict[str, str]:
    """Series -> its column of Table 1.

    Adapters are compared at one rate: the middle one of those that all of them share. Native
    has two columns: the paper's rates, or the highest and the middle of three."""
    rates = {
        algorithm: sorted(set(part["lr"].dropna()))
        for algorithm, part in factors.groupby("algorithm")
    }
    there = [set(rates[name]) for name in ADAPTERS if name in rates]
    shared = sorted(set.intersection(*there)) if there else []
    native = dict(RATES)
    if len(full_rates := rates.get("full", [])) == 3:
        native |= {full_rates[2]: "native-fast", full_rates[1]: "native"}
    columns = {}
    for row in factors.itertuples():
        if row.algorithm in ADAPTERS and shared and row.lr == shared[(len(shared) - 1) // 2]:
            columns[row.series] = row.algorithm
        elif row.algorithm == "full" and row.lr in native:
            columns[row.series] = native[row.lr]
    return columns


Place = Callable[[Any], float | None]  # a row of settings -> where it stands on the varied factor
EPOCHS = "epochs"
MEMBERS = {  # Table 1's columns
    "lora": "LoRA",
    "loha": "LoHa",
    "lokr": "LoKr",
    "native-fast": "native at its high rate",
    "native": "native at its middle rate",
}


@dataclass(frozen=True)
class Contrast:
    """`subject` begins the sentence of a claim, `what` is what two configurations differ in.

    `place` orders the configurations; None takes no part. `owns` are the columns of settings that
    the contrast is allowed to change, in one or more ways of which a pair uses one. `labelled`:
    only configurations that count for importance, as capacity is a label that others lack."""

    subject: str
    what: str
    place: Place
    owns: tuple[tuple[str, ...], ...]
    labelled: bool = False


def values(column: str, *order: str) -> Place:
    """Named values of a setting, from the first to the last."""
    return lambda row: order.index(row[column]) if row.get(column) in order else None


def _rate(row: Any) -> float | None:
    return row["lr"] if row["lr"] > 0 else None


def _capacity(row: Any) -> float | None:
    return row["capacity"] if row["capacity"] in (1, 2) else None


def _alpha(row: Any) -> float | None:
    """1 where alpha is 1, 0 where it is more; a rank of 1 or 2 has no more to have."""
    return float(row["alpha"] == 1) if row["alpha"] >= 1 and row[DIM] > 2 else None


def _captions(first: str, second: str) -> Contrast:
    subjects = {
        ("main", "no-tags"): "Leaving out all tags, not only the concept’s,",
        ("all-tags", "main"): "Leaving out the concept’s tags",
        ("all-tags", "no-tags"): "Captions without any tags in place of all tags",
    }
    what = f"captions ({first} against {second})"
    return Contrast(
        subjects[first, second], what, values("captions", first, second), (("captions",),)
    )


def _algorithm(name: str) -> Contrast:
    """Against LoRA. Dimension, factor and rate are an algorithm's own; the rest is alike."""
    return Contrast(
        f"{MEMBERS[name][0].upper()}{MEMBERS[name][1:]} in place of LoRA",
        f"algorithm (lora against {name})",
        values("member", "lora", name),
        (("member", "algorithm", "lr", DIM, "alpha", "scale", FACTOR),),
        labelled=True,
    )


CONTRASTS = {
    EPOCHS: Contrast("Longer training", "epoch", lambda row: None, ()),
    "rate": Contrast("A higher learning rate", "learning rate", _rate, (("lr", "member"),)),
    "capacity": Contrast(
        "More capacity", "capacity", _capacity,
        ((DIM, "alpha", "capacity"), (FACTOR, "capacity")), labelled=True,
    ),
    "attention": Contrast(
        "Training attention alone", "preset (attn-mlp against attn-only)",
        values("preset", "attn-mlp", "attn-only"), (("preset",),),
    ),
    "convolutions": Contrast(
        "Adding convolutions", "preset (attn-mlp against full)",
        values("preset", "attn-mlp", "full"), (("preset",),),
    ),
    "alpha-1": Contrast(
        "Alpha 1 at the same dimension", "alpha", _alpha, (("alpha", "scale", "capacity"),)
    ),
    "no-tags": _captions("main", "no-tags"),
    "adjusted-tags": _captions("all-tags", "main"),
    "tags-at-all": _captions("all-tags", "no-tags"),
    **{name: _algorithm(name) for name in MEMBERS if name != "lora"},
}  # fmt: skip


def pairs(table: pd.DataFrame, contrast: Contrast) -> list[tuple[str, str]]:
    """(from, to) of series at neighbouring places that are alike in all that the contrast
    does not own. With three rates those are two pairs: the effect is that of a step.

    table: as of `settings`."""
    if contrast.labelled:
        table = table[table["importance"]]
    rows = [(row, contrast.place(row)) for row in table.to_dict("records")]
    placed = [(row, place) for row, place in rows if place is not None]
    neighbours: dict[tuple[str, str], None] = {}
    for owned in contrast.owns:
        kept = [name for name in table if name not in (*owned, *NAMES)]
        groups: dict[tuple[str, ...], dict[float, list[str]]] = {}
        for row, place in placed:
            alike = groups.setdefault(tuple(str(row[name]) for name in kept), {})
            alike.setdefault(place, []).append(row[SERIES])
        for group in groups.values():
            neighbours |= dict.fromkeys(_neighbours([group[place] for place in sorted(group)]))
    return list(neighbours)


def _neighbours(places: Sequence[list[str]]) -> list[tuple[str, str]]:
    return [(low, high) for lower, upper in pairwise(places) for low in lower for high in upper]
