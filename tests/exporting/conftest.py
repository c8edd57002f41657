"""Scored run folders that are written by hand: two configurations, two seeds, two classes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lycoris_bench.run.store import Store
from lycoris_bench.study.records import MetricRow

STUDY = """name = "toy"
base_model = "nowhere/at-all"
dataset = "photos"
prompts = "nor this"
epochs = [5, 10]
seeds = [23, 24]
[algorithms.lora]
lr = 1e-3
dim = 4
[algorithms.full]
lr = 1e-5
"""
SEEN = {
    "image_similarity": ("trigger", "eye", "higher"),
    "style_loss": ("style", "grams", "lower"),
}
PROTOCOL = {"steps": 12, "guidance": 4.0, "base_model": "b0"}
WORTH = {"lora": 0.5, "full": 0.3, "base": 0.1, "real": 0.9}
Written = Callable[..., Path]


def value(name: str, seed: int | None, class_name: str) -> float:
    """A number that a person can add up."""
    of_class = {"bunny": 0.0, "lake": 0.02}[class_name]
    return WORTH[name] + of_class + (0.04 if seed == 24 else 0.0)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a run folder; what is changed, of the protocol or of all rows, is given."""

    def write(
        name: str, protocol: dict[str, Any] | None = None, weights: str = "w0", **changes: Any
    ) -> Path:
        store = Store(tmp_path / name)
        rows = []
        drawn = json.dumps({**PROTOCOL, **(protocol or {})})
        for metric, (kind, eye, better) in SEEN.items():
            for who in WORTH:
                outside = who in ("base", "real")
                for seed in [None] if outside else [23, 24]:
                    for epoch in [None] if outside else [5, 10]:
                        for place in ("bunny", "lake"):
                            about: dict[str, Any] = {
                                "study": "toy", "configuration": who, "algorithm": who,
                                "seed": seed, "epoch": epoch, "strength": 1.0,
                                "category": "things", "class_name": place, "subclass": "",
                                "prompt_type": kind, "metric": metric, "encoder": eye,
                                "resize": "crop", "better": better, "n": 4,
                                "value": value(who, seed, place) - (0.2 if epoch == 5 else 0),
                                "fingerprint": f"{metric} {place} {drawn if who != 'real' else ''}",
                                "protocol": "" if who == "real" else drawn,
                            }  # fmt: skip
                            rows.append(MetricRow(**{**about, **changes}).record())
        frame = pd.DataFrame(rows).astype({"seed": "Int64", "epoch": "Int64"})
        store.put_frame(store.table("metrics"), frame)
        store.write(store.study, STUDY)
        return store.root

    return write
