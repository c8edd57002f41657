"""Which of the two concepts of a prompt is missing: by an encoder, and in truth where that is
known."""

from collections.abc import Iterator, Mapping

import pandas as pd

from lycoris_bench.analysis.coded import texts
from lycoris_bench.analysis.columns import SECOND, at_last_epoch, first_views, seen_as, trained
from lycoris_bench.study.records import BASE

WAYS = {
    "by an encoder": ("first_found", "second_found", "both_found"),
    "in truth": ("concept_shown", "second_shown", "both_shown"),
}
"""How it is known -> the metrics of the first concept, the second and both."""
SHARES = ["both", "first alone", "second alone", "neither"]
COLUMNS = ["configuration", "strength", "first", SECOND, "known", *SHARES]


def pairs(metrics: pd.DataFrame) -> pd.DataFrame:
    """Of the images of each configuration, strength and pair at the last epoch, those of the base
    model first: the shares that show both concepts, one alone, or neither; means over seeds.

    From the shares f, s and b of the first, the second and both: f - b show the first alone, s - b
    the second, 1 - f - s + b neither."""
    rows = texts(metrics[metrics[SECOND] != ""])
    drawn = trained(rows)
    rows = pd.concat([rows[rows["configuration"] == BASE], at_last_epoch(drawn)])
    rows = seen_as(first_views(drawn), rows)
    return pd.DataFrame(_rows(rows) if len(rows) else [], columns=COLUMNS)


def _rows(rows: pd.DataFrame) -> Iterator[Mapping[str, object]]:
    named = rows[["category", "class", "subclass"]].agg(lambda r: "/".join(filter(None, r)), axis=1)
    keys = ["configuration", "strength", "first", SECOND]
    for key, part in rows.assign(first=named).groupby(keys, sort=False):
        means = part.groupby("metric")["value"].mean()
        for known, metrics in WAYS.items():
            if set(metrics) <= set(means.index):
                first, second, both = (float(means[name]) for name in metrics)
                shares = both, first - both, second - both, 1 - first - second + both
                about = dict(zip(keys, key, strict=True))
                yield {**about, "known": known, **dict(zip(SHARES, shares, strict=True))}
