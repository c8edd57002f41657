"""What a person says of images, from 1 to 5: a metric that looks at no image.

The ratings lie in `ratings.json` in the folder that RATINGS names, by the uid of an image."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.base import metric
from lycoris_bench.scoring.metrics.inputs import Input, ScoredSet


def content() -> bytes:
    """The file, nothing where it is not there."""
    file = Path(os.environ.get("RATINGS", ""), "ratings.json")
    return file.read_bytes() if file.is_file() else b"{}"


def ratings(scored: ScoredSet) -> list[int]:
    """Those there are of a set's images."""
    known = json.loads(content())
    return [known[uid] for uid, _ in scored.generated if uid in known]


RATINGS = Input(
    "ratings",
    available=lambda scored: bool(ratings(scored)),
    needs="ratings of its images",
    value=lambda scored, _: ratings(scored),
    content=lambda: hashlib.sha256(content()).hexdigest(),
)


@metric(better="higher", encoder=None, inputs=[RATINGS])
def rating(ratings: Any) -> float:
    """The mean rating of a set of images, [n] -> one number."""
    return float(np.mean(ratings))
