"""How each number of the page was made, in words, as its script reads them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lycoris_bench.analysis.coded import texts
from lycoris_bench.analysis.columns import VIEW, ordered
from lycoris_bench.analysis.report.tables import drawn
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import lines


def data(
    metrics: pd.DataFrame, views: pd.DataFrame, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """`weights`: encoder -> what was read; `drawn`: how images were drawn; `scored`: on what;
    `views`: for each view of the page on how many images a number rests, the first of its
    fingerprints, and how many there are."""
    rows = metrics.drop_duplicates([*VIEW, "fingerprint", "n"])[[*VIEW, "fingerprint", "n"]]
    known = dict(list(texts(rows).groupby(VIEW, sort=False)))
    weights = provenance.get("encoder weights", {})
    return {
        "weights": {lines(str(name)): lines(str(text)) for name, text in weights.items()},
        "drawn": [lines(text) for _, text in drawn(metrics)],
        "scored": lines(str(provenance.get("scored on", ""))),
        "views": [_made(known[view]) for view in views[VIEW].itertuples(index=False, name=None)],
    }


def _made(rows: pd.DataFrame) -> dict[str, Any]:
    counts = [plural(int(n), "image") for n in sorted(rows["n"].unique())]
    marks = ordered(rows["fingerprint"])
    return {"images": ", ".join(counts), "mark": lines(marks[0]), "of": len(marks)}
