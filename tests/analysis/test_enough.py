"""How much is enough, by what can be worked out: subsets of a table, components, orders."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w
from scipy import stats

from lycoris_bench.analysis.comparing.mean_squares import Components
from lycoris_bench.analysis.comparing.pairs import mean_components
from lycoris_bench.analysis.comparing.power import share_found, smallest_difference
from lycoris_bench.analysis.earlier_noise import noise_of_run
from lycoris_bench.analysis.enough.components import by_images, mean_of
from lycoris_bench.analysis.enough.curves import curves
from lycoris_bench.analysis.enough.sampled import Sampled
from lycoris_bench.analysis.enough.stability import kendall
from lycoris_bench.analysis.enough.subsets import sampled as of_run
from lycoris_bench.analysis.enough.tables import ONE_SEED, lines
from lycoris_bench.analysis.plots.saturation import saturation
from lycoris_bench.analysis.stored_run import open_run
from lycoris_bench.analysis.study_power import power
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import load_stored
from tests.analysis.conftest import row
from tests.support.drawn_studies import ranked
from tests.support.world import table, tiny

CONFIGURATIONS, SEEDS, EPOCHS, CLASSES = ("lora", "lora-lr0.01", "lora-lr0.02"), (1, 2), (1, 2), 5
IMAGES = 4
SIZE = (len(EPOCHS), len(CONFIGURATIONS), len(SEEDS), CLASSES, IMAGES)


def stored(folder: Path, values: np.ndarray, halves: np.ndarray, changes: Any = None) -> Path:
    """A run with `values` [epochs, configurations, seeds, classes, images] of style loss, less of
    which is better, and Vendi scores of `halves`, the same of two halves; of truth what is in the
    values."""
    study = table(
        algorithms={"lora": {"lr": 2e-3, "vary": [{"lr": 0.01}, {"lr": 0.02}]}},
        seeds=list(SEEDS[: values.shape[2]]), epochs=list(EPOCHS),
    )  # fmt: skip
    store = Store(folder)
    folder.mkdir()
    store.study.write_text(tomli_w.dumps(study))
    rows: dict[Any, list[dict[str, Any]]] = {}
    parts: dict[Any, list[dict[str, Any]]] = {}
    for e, k, s, c in np.ndindex(values.shape[:-1]):
        key = CONFIGURATIONS[k], SEEDS[s], EPOCHS[e]
        for metric, kind, better, numbers in (
            ("style_loss", "style", "lower", values[e, k, s, c]),
            ("base_kept", "style", "higher", -values[e, k, s, c]),
            ("vendi", "trigger", "higher", halves[e, k, s, c]),
        ):
            made = row(
                float(numbers.mean()), key[0], algorithm="lora", seed=key[1], epoch=key[2],
                class_name=f"c{c}", metric=metric, prompt_type=kind, better=better, n=IMAGES,
            )  # fmt: skip
            rows.setdefault(key, []).append(made)
            parts.setdefault(key, []).extend(
                {**made, "image": f"{i}", "value": float(x)} for i, x in enumerate(numbers)
            )
    for checkpoint in load_stored(store.study).checkpoints:
        key = checkpoint.configuration.name, checkpoint.seed, checkpoint.epoch
        if key in parts:
            frame = pd.DataFrame(parts[key]).drop(columns=["n", "protocol"])
            store.put_frame(store.metrics(store.branch(checkpoint), "-images"), frame)
    whole = pd.DataFrame([one for of_one in rows.values() for one in of_one])
    store.put_frame(store.table("metrics"), whole.astype({"seed": "Int64", "epoch": "Int64"}))
    return folder


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=SIZE), random.normal(size=(*SIZE[:-1], 2))


@pytest.fixture(scope="module")
def run(drawn: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("enough") / "run", *drawn)


def last(values: np.ndarray) -> np.ndarray:
    """Scores at the last epoch, ranked among both."""
    flat = values.reshape(-1, *values.shape[2:])
    return ranked(flat).reshape(values.shape)[-1]


def test_subsets_of_images_are_ranked_anew(run: Path, drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Image k is in subset k modulo their number; a half is two images of four."""
    found = of_run(open_run(run))
    assert found.keys() == {"diversity", "preservation"}
    style, vendi = found["preservation"], found["diversity"]
    values, halves = -drawn[0], drawn[1]
    assert (style.images, style.least, vendi.images, vendi.least) == (4, 1, 4, 2)
    assert style.whole == pytest.approx(last(values.mean(axis=-1)))
    assert {n: len(subsets) for n, subsets in style.of_images.items()} == {1: 4, 2: 2}
    for k in range(4):
        assert style.of_images[1][k] == pytest.approx(last(values[..., k]))
    for k in range(2):
        assert style.of_images[2][k] == pytest.approx(last(values[..., k::2].mean(axis=-1)))
        assert vendi.of_images[2][k] == pytest.approx(last(halves[..., k]))
    assert vendi.of_images.keys() == {2} and vendi.true is None
    assert style.true == pytest.approx(style.whole)


def test_subsets_of_seeds_are_ranked_anew(run: Path, drawn: tuple[np.ndarray, np.ndarray]) -> None:
    style = of_run(open_run(run))["preservation"]
    means = -drawn[0].mean(axis=-1)
    assert style.of_seeds.keys() == {1}
    expected = sorted(last(means[:, :, k : k + 1]).tolist() for k in range(2))
    found = sorted(style.of_seeds[1].tolist())
    assert np.array(found) == pytest.approx(np.array(expected))


def test_runs_without_parts_say_as_much_as_before(
    run: Path, drawn: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """As do sets of which one has no parts."""
    bare = stored(tmp_path / "bare", *drawn)
    path = next(iter((bare / "metrics").rglob("*-images.parquet")))
    path.unlink()
    assert not any(scores.of_images for scores in of_run(open_run(bare)).values())
    before, with_parts = noise_of_run(bare), noise_of_run(run)
    assert before.components == with_parts.components
    assert not before.by_images and with_parts.by_images.keys() == {"diversity", "preservation"}
    asked = plan(tiny(seeds=[1, 2], sampling={"images": 8}))
    said = power(asked, bare)
    assert "images" not in said["text"] and "half_the_images" not in str(said)


def test_plan_says_what_images_buy(run: Path) -> None:
    """At the study's own number of images; a Vendi score of one image is none."""
    noise = noise_of_run(run).by_images
    for images, counts in ((8, (4, 16)), (2, (1, 4))):
        asked = plan(tiny(seeds=[1, 2], sampling={"images": images}))
        said = power(asked, run)
        of_style = said["differences"]["preservation"]
        sizes = [images, *counts]
        rows = [of_style, of_style["half_the_images"], of_style["twice_the_images"]]
        for n, shown in zip(sizes, rows, strict=True):
            expected = smallest_difference(
                noise["preservation"].at(n), 2, of_style["classes"], configurations=2
            )
            assert shown["named"] == (pytest.approx(expected) if expected <= 1 else None)
        assert [shown["images"] for shown in rows[1:]] == list(counts)
        line = next(x for x in said["text"].splitlines() if x.startswith("preservation"))
        assert (
            f"; with {counts[0]} image{'s' * (counts[0] > 1)} " in line
            and f", with {counts[1]} " in line
        )
        assert ("half_the_images" in said["differences"]["diversity"]) == (images == 8)


def test_components_of_all_pairs() -> None:
    """As those of each pair, one by one; also of one seed, and of subsets."""
    random = np.random.default_rng(1)
    for size in ((4, 3, 6), (5, 1, 7)):
        scores = random.normal(size=(2, *size)) + random.normal(size=(2, size[0], size[1], 1))
        scores += random.normal(size=(2, size[0], 1, size[2]))
        expected = [mean_components(one) for one in scores]
        found = mean_of(scores)
        for name in ("of_seeds", "of_classes", "residual"):
            mean = np.mean([getattr(parts, name) for parts in expected])
            assert getattr(found, name) == pytest.approx(mean)


def test_an_images_part_by_hand() -> None:
    """Two configurations whose differences of single images are ± 1 around those of the class."""
    of_class = np.array([0.0, 4.0, 2.0])
    of_image = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]])
    first = np.stack([of_class + of_image[:, k] for k in range(2)])
    subsets = np.stack([first, np.zeros_like(first)], axis=1)[:, :, None, :]
    found = by_images(Sampled(2, subsets.mean(axis=0), {1: subsets}))
    assert found is not None
    assert found.whole.of_classes == pytest.approx(4)
    single = np.mean([np.var(one, ddof=1) for one in first])
    assert found.per_image.of_classes == pytest.approx(2 * (single - 4))
    assert found.at(1).of_classes == pytest.approx(single)
    assert found.at(4).of_classes == pytest.approx(4 - (single - 4) / 2)
    assert found.fixed.of_classes == pytest.approx(4 - (single - 4))


def test_orders_as_scipy_has_them() -> None:
    random = np.random.default_rng(2)
    first, second = random.integers(0, 4, (2, 20, 7)).astype("float64")
    expected = [stats.kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert kendall(first, second) == pytest.approx(expected)
    assert kendall(np.ones(3), np.arange(3.0)) == 0


def test_the_smallest_difference_is_found_four_times_in_five() -> None:
    """Of many configurations a little more often: their noise is known better than it says."""
    parts = Components(0.0016, 0.082, 0.057)
    for configurations, expected in ((2, 0.8), (8, 0.816)):
        known = smallest_difference(parts, 3, 28, configurations=configurations)
        asked = np.array([known, -known, 0.0, 1.0])
        found = share_found(asked, parts, 3, 28, configurations=configurations)
        assert found[:2] == pytest.approx([expected, expected], abs=1e-3)
        assert 0.02 < found[2] < 0.051 and found[3] == pytest.approx(1)
    without_noise = share_found(np.array([0.0, 0.1]), Components(0.0, 0.0, 0.0), 3, 28)
    assert without_noise.tolist() == [0, 1]


@pytest.mark.study
def test_what_is_printed_and_drawn(
    run: Path, drawn: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """A run of one seed says so in one sentence, and draws no seeds."""
    values, halves = (part[:, :, :1] for part in drawn)
    single = stored(tmp_path / "single", values, halves)
    for folder, seeds in ((run, 2), (single, 1)):
        found = of_run(open_run(folder))
        known = {key: curves(scores) for key, scores in found.items()}
        said = list(lines(found, known))
        assert (said[0] == ONE_SEED) == (seeds == 1)
        headings = [line for line in said if f": 3 x {seeds} x 5 configurations, seeds" in line]
        assert len(headings) == 2
        assert sum(line.startswith("seeds  ") for line in said) == (4 if seeds == 2 else 0)
        assert sum("(foretold)" in line for line in said) == 4
        axes = ("images", "classes") if seeds == 1 else ("images", "seeds", "classes")
        assert len(known["diversity"]["images"]) == 4
        svg = saturation(known)
        assert svg == saturation(known) and svg.startswith(b"<svg")
        assert svg.count(b'id="axes_') == 3 * len(axes)
