"""A metric with a new kind of input and an encoder, each one file outside the package, go through
the line; their numbers are those of loops over the PNGs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lycoris_bench.planning import downloads
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.stages.score import score
from lycoris_bench.study.records import BASE_CHECKPOINT, Concept
from tests.support.plugin import FILES, Load
from tests.support.world import HERE, run, tiny

TOY = Concept("toys", "bunny")
OURS = {"colourfulness", "image_similarity", "rating"}


@pytest.fixture
def asked(load_plugin: Load, quick_base: str) -> Plan:
    for file in FILES:
        load_plugin(file)
    return plan(
        tiny(
            base_model=quick_base,
            concepts=[str(TOY)],
            epochs=[1],
            sampling={"prompt_types": ["train"], "images": 3, "steps": 1},
            scoring={"encoders": ["random-projection"], "metrics": sorted(OURS)},
            algorithms={"lora": {"lr": 2e-3, "dim": 4, "alpha": 2}},
        )
    )


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


def colourful(path: Path) -> float:
    """Hasler and Suesstrunk's, pixel by pixel."""
    rg, yb = [], []
    for red, green, blue in pixels(path).reshape(-1, 3).tolist():
        rg.append(red - green)
        yb.append((red + green) / 2 - blue)
    spread, mean = np.hypot(np.std(rg), np.std(yb)), np.hypot(np.mean(rg), np.mean(yb))
    return float(spread + 0.3 * mean)


def projected(path: Path) -> np.ndarray:
    """The picture brought to 8 x 8, to -1..1, then to 12 numbers; of length 1."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((8, 8), Image.Resampling.BICUBIC)
    values = (np.asarray(small, dtype=np.float64) / 127.5 - 1).transpose(2, 0, 1).ravel()
    matrix = torch.randn(192, 12, generator=torch.Generator().manual_seed(0)).double().numpy()
    vector = np.array([sum(values * column) for column in matrix.T])
    return vector / np.sqrt((vector**2).sum())


@pytest.mark.study
def test_plugins_go_through_the_line(asked: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    outcomes = run(asked, store)
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes
    rows = pd.read_parquet(store.table("metrics")).set_index(["configuration", "metric"])
    real = [example.path for example in asked.data.of(TOY)]
    for checkpoint in asked.checkpoints:
        drawn = [store.image(job.image_set, job.k) for job in asked.jobs(checkpoint)]
        name = checkpoint.configuration.name
        found = rows.loc[name, "colourfulness"]
        assert found["value"] == pytest.approx(np.mean([colourful(path) for path in drawn]))
        assert (found["encoder"], found["resize"], found["n"]) == ("none", "none", 3)
        cosines = [projected(a) @ projected(b) for a in drawn for b in real]
        found = rows.loc[name, "image_similarity"]
        assert found["value"] == pytest.approx(np.mean(cosines), abs=1e-5)
        assert (found["encoder"], found["resize"]) == ("random-projection", "stretch")
    heldout = [colourful(example.path) for example in asked.heldout.of(TOY)]
    assert rows.loc["real", "colourfulness"]["value"] == pytest.approx(np.mean(heldout))
    assert {metric for _, metric in rows.index} == OURS - {"rating"}  # nobody has rated yet
    images = pd.read_parquet(store.metrics(store.branch(asked.checkpoints[1]), "-images"))
    own = images[images["metric"] == "colourfulness"]["value"]
    drawn = [store.image(job.image_set, job.k) for job in asked.jobs(asked.checkpoints[1])]
    assert own.tolist() == pytest.approx([colourful(path) for path in drawn])
    assert score(asked, store, HERE).done == 0
    page = store.report.read_text(encoding="utf-8")
    assert "colourfulness" in page and "random-projection" in page
    assert not downloads.downloads(asked.study.settings, asked.base_uid)  # it has no weights


def test_what_is_read_besides_images_makes_scores_stale(
    asked: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person rates images: the rows that have it are made anew, and only then."""
    store, base = Store(tmp_path / "run"), replace(asked, limit=0)
    run(base, store, ("generate", "score"))
    assert "rating" not in set(pd.read_parquet(store.table("metrics"))["metric"])
    monkeypatch.setenv("RATINGS", str(tmp_path))
    jobs = base.jobs(BASE_CHECKPOINT)
    (tmp_path / "ratings.json").write_text(json.dumps({jobs[0].uid: 5, jobs[2].uid: 2}))
    assert score(base, store, HERE).done == 2  # base and real images
    rows = pd.read_parquet(store.table("metrics"))
    rated = rows[rows["metric"] == "rating"]
    assert rated[["configuration", "value"]].values.tolist() == [["base", 3.5]]
    assert score(base, store, HERE).done == 0


def test_the_examples_of_the_page_work(load_plugin: Load, tmp_path: Path) -> None:
    """By hand: white above black is grey on average, and its ninths are white, grey and black."""
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
    for name, block in zip(
        ("distortion", "brightness", "mean_colours"),
        re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL),
        strict=True,
    ):
        (tmp_path / f"{name}.py").write_text(block, encoding="utf-8")
        load_plugin(tmp_path / f"{name}.py")
    assert METRICS.get("distortion").on_request  # with pyiqa: tests/scoring/metrics/test_quality.py
    picture = Image.new("RGB", (6, 6))
    picture.paste("white", (0, 0, 6, 3))
    metric, encoder = METRICS.get("brightness"), encoders.load("mean-colours")
    (row,) = metric.inputs
    assert metric([row.read(Picture(picture))]).tolist() == [0.5]
    (features,) = encoder.encode([encoder.prepare(picture)])
    expected = np.tile(np.repeat([1, 0.5, 0], 3), 3)
    np.testing.assert_allclose(features, expected, atol=0.02)  # the edge is resampled
