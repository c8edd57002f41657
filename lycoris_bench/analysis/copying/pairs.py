"""Which pairs of a drawn image and its nearest training image a report shows, and a run keeps."""

import pandas as pd

from lycoris_bench.analysis.columns import CONCEPT
from lycoris_bench.analysis.image_numbers import with_second
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import Checkpoint

SIMILARITY, QUANTILE, RATE = "nearest_similarity", "copy_quantile", "copy_rate"
IMAGE = [*CONCEPT, "prompt_type", "encoder", "resize", "image"]
PAIRS = "pairs"  # the table of those that a report shows
SHOWN = 12  # pairs of a report
OF_ONE = 2  # of one checkpoint
COLUMNS = [*IMAGE, "similarity", "quantile", "copied", "nearest", "among"]


def pairs_of(store: Store, checkpoint: Checkpoint) -> pd.DataFrame:
    """A row for each image of a checkpoint: its nearest training image (`nearest`, the uid of its
    content, one `among` so many), by the first encoder that has them; the worst first: those that
    count as copies, then by quantile and similarity. Empty where none was computed."""
    stored = store.frame(store.metrics(store.branch(checkpoint), "-images"))
    if stored is None or "nearest" not in stored[0]:
        return pd.DataFrame(columns=COLUMNS)
    rows = with_second(stored[0])
    found = rows[rows["metric"] == SIMILARITY].rename(columns={"value": "similarity"})
    found = found[found["encoder"] == found["encoder"].iloc[0]]
    for name, column in ((QUANTILE, "quantile"), (RATE, "copied")):
        values = rows[rows["metric"] == name].rename(columns={"value": column})
        found = found.merge(values[[*IMAGE, column]], on=IMAGE, how="left")
    worst = found.sort_values(["copied", "quantile", "similarity"], ascending=False, kind="stable")
    return worst[COLUMNS].reset_index(drop=True)


def worst_of_each(pairs: pd.DataFrame) -> pd.DataFrame:
    """The worst pair of each of OF_ONE concepts."""
    return pairs.drop_duplicates(CONCEPT).head(OF_ONE)
