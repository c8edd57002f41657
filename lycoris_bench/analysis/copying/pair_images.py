"""Thumbnails of the worst pairs, which a run folder keeps: it may be passed on without the dataset,
and most of its images may be removed. Of a training image nothing but the thumbnail is kept, no
name and no place."""

from typing import Any

import pandas as pd

from lycoris_bench.analysis.copying.pairs import SHOWN, pairs_of, worst_of_each
from lycoris_bench.analysis.report.image_choice import thumbnail
from lycoris_bench.analysis.report.pictures import Pictures
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.all_concepts import files
from lycoris_bench.study.records import Checkpoint, Concept, ImageSet


def pair_images(plan: Plan, store: Store) -> pd.DataFrame:
    """A row for each of at most SHOWN pairs, the worst first, of the checkpoints of the last epoch:
    `series`, `concept`, `prompt_type`, `encoder`, `similarity`, `quantile`, `copied`, `among`, and
    both images as WebP (`drawn`, `training`). Pairs of which an image is gone are left out."""
    places = dict(files(plan.data.examples))
    rows: list[dict[str, Any]] = []
    for checkpoint in _last(plan):
        found = pairs_of(store, checkpoint)
        there = [
            _image(store, checkpoint, row).exists() and row["nearest"] in places
            for row in found.to_dict("records")
        ]
        for row in worst_of_each(found[there]).to_dict("records"):
            drawn = thumbnail(_image(store, checkpoint, row))
            training = thumbnail(places[row["nearest"]])
            if drawn and training:
                kept = ("prompt_type", "encoder", "similarity", "quantile", "copied", "among")
                rows.append({
                    "series": str(checkpoint), "concept": str(_concept(row)),
                    **{name: row[name] for name in kept}, "drawn": drawn, "training": training,
                })  # fmt: skip
    order = ("copied", "quantile", "similarity")
    rows.sort(key=lambda row: [-float(row[name]) for name in order])
    return pd.DataFrame(rows[:SHOWN])


def training_images(plan: Plan, pictures: Pictures) -> dict[str, bytes]:
    """SHA-256 of its file -> thumbnail, of each training image that is nearest to a picture."""
    needed = {pair.training for drawn in pictures.drawn for pair in drawn.nearest}
    places = dict(files(plan.data.examples)) if needed else {}
    found = {sha: thumbnail(places[sha]) for sha in sorted(needed & places.keys())}
    return {sha: image for sha, image in found.items() if image}


def _last(plan: Plan) -> list[Checkpoint]:
    """The checkpoints of the last epoch, and those that have none."""
    last = max((c.epoch or 0 for c in plan.checkpoints), default=0)
    return [c for c in plan.checkpoints if not c.is_base and c.epoch in (None, last)]


def _concept(row: dict[str, Any]) -> Concept:
    return Concept(row["category"], row["class"], row["subclass"])


def _image(store: Store, checkpoint: Checkpoint, row: dict[str, Any]) -> Any:
    drawn = ImageSet(checkpoint, _concept(row), row["prompt_type"])
    return store.image_folder(drawn) / row["image"]
