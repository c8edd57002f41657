"""Small metric tables to write by hand, a larger one made of noise, and the authors' real one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis import regression
from lycoris_bench.analysis.aggregation import by_checkpoint
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.report import figures
from lycoris_bench.study.records import MetricRow

Rows = Callable[..., pd.DataFrame]


def row(value: float, configuration: str = "lora", **changes: object) -> dict[str, object]:
    """A MetricRow's record with everything but the value, and what is changed, filled in."""
    outside = configuration in ("base", "real")
    fields: dict[str, object] = {
        "study": "toy",
        "configuration": configuration,
        "algorithm": configuration.split("-")[0],
        "seed": None if outside else 23,
        "epoch": None if outside else 10,
        "strength": 1.0,
        "category": "toys",
        "class_name": "bunny",
        "subclass": "",
        "prompt_type": "trigger",
        "metric": "image_similarity",
        "encoder": "eye",
        "resize": "letterbox",
        "value": value,
        "better": "higher",
        "n": 4,
        "fingerprint": "f0",
        **changes,
    }
    return dict(MetricRow(**fields).record())


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """With the column `series`, as a table of one strength has it."""
    return frame.assign(series=frame["configuration"])


@pytest.fixture
def table() -> Rows:
    def make(rows: list[dict[str, object]]) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=MetricRow.columns())
        return named(frame.astype({"seed": "Int64", "epoch": "Int64"}))

    return make


ALGORITHMS = {"lora": 1, "loha": 1, "full": 3}
VIEWS = (
    ("image_similarity", "train", "eye", "higher"),
    ("image_similarity", "trigger", "eye", "higher"),
    ("image_similarity", "trigger", "second-eye", "higher"),
    ("image_similarity", "alter", "eye", "higher"),
    ("centroid_distance", "trigger", "eye", "lower"),
    ("text_similarity", "alter", "reader", "higher"),
    ("vendi", "trigger", "eye", "higher"),
    ("style_loss", "style", "gram", "lower"),
)


@pytest.fixture(scope="session")
def factors() -> pd.DataFrame:
    """Three algorithms with a default, a rate and a preset that differ, and more capacity."""
    rows = []
    for algorithm, capacity in ALGORITHMS.items():
        for name, preset, level, size in (
            (algorithm, "attn-mlp", 2, capacity),
            (f"{algorithm}-fast", "attn-mlp", 3, capacity),
            (f"{algorithm}-attn-only", "attn-only", 2, capacity),
            (f"{algorithm}-large", "attn-mlp", 2, 2),
        ):
            if not (algorithm == "full" and name.endswith("large")):
                rows.append((name, algorithm, preset, level * 1e-4, level, size, True))
    columns = ["configuration", "algorithm", "preset", "lr", "lr_level", "capacity", "importance"]
    return named(pd.DataFrame(rows, columns=columns))


@pytest.fixture(scope="session")
def study(factors: pd.DataFrame) -> pd.DataFrame:
    """11 configurations x 2 seeds x 3 epochs over two categories, with base and real images:
    stronger training is more faithful and less of everything else."""
    rng = np.random.default_rng(0)
    concepts = [("toys", "bunny", ""), ("toys", "panda", ""), ("styles", "old book", "")]
    concepts += [("characters", "hero", "red, long coat"), ("characters", "hero", "armour")]
    runs: list[tuple[str, int | None, int | None, float]] = [("base", None, None, 0.0)]
    runs += [("real", None, None, 1.0)]
    for f in factors.itertuples():
        for seed in (23, 24):
            for epoch in (10, 30, 50):
                push = 0.2 + epoch / 100 + 0.1 * (f.lr_level - 2) - 0.1 * (f.algorithm == "full")
                runs.append((f.configuration, seed, epoch, push + rng.normal(0, 0.03)))
    rows = []
    for name, seed, epoch, strength in runs:
        for category, class_name, subclass in concepts:
            for metric, kind, encoder, better in VIEWS:
                faithful = metric in ("image_similarity", "centroid_distance")
                if (category == "styles" and kind == "style") or (name == "real" and not faithful):
                    continue
                value = strength if metric in ("image_similarity", "style_loss") else 1 - strength
                value += rng.normal(0, 0.02)
                about = {"category": category, "class_name": class_name, "subclass": subclass}
                about |= {
                    "metric": metric,
                    "prompt_type": kind,
                    "encoder": encoder,
                    "better": better,
                }
                about |= {"seed": seed, "epoch": epoch, "fingerprint": f"{metric}-{class_name}"}
                rows.append(row(value, name, **about))
    return pd.DataFrame(rows).astype({"seed": "Int64", "epoch": "Int64"})


@pytest.fixture(scope="session")
def checkpoints(study: pd.DataFrame) -> pd.DataFrame:
    """Scores of one view, a row a checkpoint."""
    rows = by_checkpoint(rank_scores(study))
    view = (rows["metric"] == "image_similarity") & (rows["prompt_type"] == "trigger")
    return rows[view & (rows["category"] == "toys") & (rows["encoder"] == "eye")]


def joined(checkpoints: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    """With what their configurations are."""
    return checkpoints.merge(factors.drop(columns=["algorithm", "configuration"]), on="series")


EMPTY = b'<svg viewBox="0 0 4 3" xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """A page made by this module's fixtures has empty figures and models of a few trees: they take
    nine tenths of the time of a small analysis, and test_plots, test_report and test_importance
    look at them."""
    whole = regression.regressor
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "regressor", lambda: whole().set_params(iterations=10))
        for name in ("scatters", "over", "over_strengths", "swarms", "agreement"):
            patch.setattr(figures, name, lambda *_: [figures.Figure(EMPTY, "a figure")])
        yield


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of the authors' published data, which this project does not contain."""
    folder = os.environ.get("LYCORIS_BENCH_PUBLISHED")
    if not folder:
        pytest.skip("LYCORIS_BENCH_PUBLISHED does not name the folder of the authors' data")
    return Path(folder)
