"""What `score` keeps of single images and of halves of image sets, read for some views."""

from collections.abc import Iterable

import pandas as pd

from lycoris_bench.analysis.columns import SECOND
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.part_names import HALVES, WITHOUT
from lycoris_bench.study.records import Source


def image_numbers(
    store: Store, sources: Iterable[Source], views: pd.DataFrame, without: bool = False
) -> pd.DataFrame:
    """The numbers of parts of image sets, seen as `views` (a row for each metric, encoder, resizing
    and prompt type): a row for each image (`image` is its name), or for each half where a metric
    has no number of a single image; asked for the sets `without` an image, for each of those in
    place of the halves. Empty where the run has none.

    StoreError: a table of them is damaged."""
    places = [store.metrics(store.branch(s), "-images") for s in sources]
    stored = {place: store.frame(place) for place in places if place.exists()}
    if damaged := [place for place, one in stored.items() if one is None]:
        raise StoreError(f"{damaged[0]} is damaged; run 'lycoris-bench run' to make it anew")
    found = [with_second(one[0]) for one in stored.values() if one is not None and len(one[0])]
    seen = [one.merge(views.drop_duplicates(), on=[*views]) for one in found]
    if not seen:
        return pd.DataFrame()
    rows = pd.concat(seen, ignore_index=True)
    other = rows["image"].isin(HALVES) if without else rows["image"].str.startswith(WITHOUT)
    return rows[~other].reset_index(drop=True)


def with_second(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the column of second concepts, which older tables lack."""
    return rows if SECOND in rows else rows.assign(**{SECOND: ""})
