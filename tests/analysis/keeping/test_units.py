"""What two checkpoints are told apart by, where a number is of a set or prompts are few: the error
rate that is promised, and the power that there is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.compare import DIFFERENT, compare
from lycoris_bench.analysis.keeping.choice import can_tell
from lycoris_bench.analysis.keeping.numbers import contributions, numbers
from lycoris_bench.evaluation import prompts
from lycoris_bench.scoring.part_names import HALVES, WITHOUT
from lycoris_bench.study.places import locate
from lycoris_bench.study.prompt_types import TYPES, prompt_lines
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import Words

STUDIES = 60
TREES = (prompts.SHIPPED, prompts.MINIATURE)
Array = np.ndarray


def vendi(z: Array) -> Array:
    """exp of the entropy of the eigenvalues of Z Z^T / n, of unit rows [..., n, d]."""
    shares = np.linalg.eigvalsh(z @ np.swapaxes(z, -1, -2) / z.shape[-2]).clip(1e-300)
    return np.asarray(np.exp(-(shares * np.log(shares)).sum(axis=-1)))


def drawn(rng: np.random.Generator, spreads: Sequence[float], n: int, modes: int = 1) -> Array:
    """Features [checkpoints, n, d] of images round `modes` pictures, of which one is the likeliest;
    half of an image's deviation is its noise's, which all checkpoints share."""
    centres = np.eye(12)[rng.choice(modes, p=_likely(modes), size=n)]
    shared, own = rng.normal(size=(n, 12)), rng.normal(size=(len(spreads), n, 12))
    z = centres + np.asarray(spreads)[:, None, None] * (shared + own) / np.sqrt(2)
    return np.asarray(z / np.linalg.norm(z, axis=-1, keepdims=True))


def _likely(modes: int) -> Array:
    return np.r_[1 - 0.15 * (modes - 1), [0.15] * (modes - 1)]


def rows(z: Array) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The numbers of sets without each image, and of whole sets, as a run has them."""
    about = {"category": "a", "class": "b", "subclass": "", "second": "", "prompt_type": "trigger",
             "metric": "vendi", "better": "higher", "strength": 1.0, "epoch": np.nan}  # fmt: skip
    n = z.shape[1]
    rests = [vendi(np.delete(z, k, axis=1)) for k in range(n)]
    names = [f"c{c}" for c in range(len(z))]
    parts = [
        {**about, "configuration": name, "image": f"{WITHOUT}{k:05d}.png", "value": rests[k][c]}
        for c, name in enumerate(names) for k in range(n)
    ]  # fmt: skip
    whole = [
        {**about, "configuration": m, "value": v} for m, v in zip(names, vendi(z), strict=True)
    ]
    return pd.DataFrame(parts), pd.DataFrame(whole)


def of_images(z: Array) -> Array:
    """[checkpoints, images]: what each contributes to the diversity of its set."""
    n = z.shape[1]
    rests = np.stack([vendi(np.delete(z, k, axis=1)) for k in range(n)], axis=-1)
    return np.asarray(vendi(z)[:, None] + (n - 1) * (rests.mean(axis=-1, keepdims=True) - rests))


def told(values: Array) -> list[bool]:
    """Which are told from the best, in their order."""
    order = np.argsort(-values.mean(axis=1), kind="stable")
    found = compare(values[order][:, None, :])
    return [found.verdict(0, place) == DIFFERENT for place in range(1, len(order))]


def test_the_mean_of_what_images_contribute_is_the_value_of_the_set() -> None:
    """Against the same in arrays, and against the jackknife of a mean, which is the sample."""
    z = drawn(np.random.default_rng(0), [0.2, 0.4], 9)
    parts, whole = rows(z)
    [found] = numbers(parts, whole, {("a/b", "trigger"): 1})
    assert found.criterion == CRITERIA[2] and found.values.shape == (2, 9)
    assert found.values == pytest.approx(of_images(z))
    assert found.means == pytest.approx(vendi(z))
    sample = np.random.default_rng(1).normal(size=9)
    linear = parts[parts["configuration"] == "c0"].assign(
        value=[(sample.sum() - x) / 8 for x in sample]
    )
    mean = whole[whole["configuration"] == "c0"].assign(value=sample.mean())
    assert contributions(linear, mean)["value"].to_numpy() == pytest.approx(sample)


def test_a_run_without_them_has_no_such_criterion() -> None:
    parts, whole = rows(drawn(np.random.default_rng(0), [0.2, 0.4], 6))
    assert numbers(parts, whole[:0], {}) == []
    assert not any(half.startswith(WITHOUT) for half in HALVES)


@pytest.mark.parametrize(("checkpoints", "images", "modes"), [(2, 12, 1), (3, 16, 3)])
def test_equal_diversity_is_seldom_told_apart(checkpoints: int, images: int, modes: int) -> None:
    """In at most one study of twenty, but for the chance of so few studies; in 150 of each size it
    is 1 to 3 % (2 to 4 checkpoints, 6 to 24 images)."""
    rng = np.random.default_rng(2)
    false = sum(
        any(told(of_images(drawn(rng, [0.3] * checkpoints, images, modes)))) for _ in range(STUDIES)
    )
    assert false <= stats.binom.ppf(0.99, STUDIES, 0.05)


def test_less_diversity_is_found() -> None:
    """Three quarters of the spread: found by 24 images in 99 % of studies of four checkpoints."""
    rng = np.random.default_rng(3)
    found = sum(told(of_images(drawn(rng, [0.15, 0.11], 24)))[-1] for _ in range(STUDIES // 3))
    assert found >= 0.8 * (STUDIES // 3)


def losses(rng: np.random.Generator, styles: int, images: int, worse: float) -> Array:
    """Style losses [2, images] of two checkpoints, the second `worse` in the mean over all styles;
    in which styles one is ahead differs from style to style."""
    style = np.arange(images) * styles // images
    ahead = rng.normal(size=(2, styles))[:, style]
    return ahead + 0.5 * rng.normal(size=(2, images)) + np.array([[0.0], [worse]])


def by_style(values: Array, styles: int) -> Array:
    return values.reshape(2, styles, -1).mean(axis=2)


def test_more_styles_tell_apart_what_more_images_of_few_do_not() -> None:
    """Of 24 images of six styles the images are no units: how far a checkpoint is ahead in a style
    all of them share. Of 24 styles they are, and find what six do not."""
    rng, one_each, few, images, found, found_few = np.random.default_rng(4), 0, 0, 0, 0, 0
    for _ in range(STUDIES):
        many, shared = losses(rng, 24, 24, 0.0), losses(rng, 6, 24, 0.0)
        one_each += any(told(many))
        few += any(told(by_style(shared, 6)))
        images += any(told(shared))
        found += any(told(losses(rng, 24, 24, 1.0)))
        found_few += any(told(by_style(losses(rng, 6, 24, 1.0), 6)))
    most = stats.binom.ppf(0.99, STUDIES, 0.05)
    assert max(one_each, few) <= most < images
    assert found >= 0.75 * STUDIES > 2 * found_few


@pytest.mark.parametrize("tree", TREES)
def test_an_evaluation_has_styles_enough(tree: str) -> None:
    """Six or more, each once, with those of studies among them, which stay as they are."""
    place = locate(tree, Path())
    words = Words("olis", "toy", "toy", "")
    files = prompts.files_of({Concept("a", "b"): words}, place)
    text = files["a/b/style.txt"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == prompt_lines(place / "style.eval.txt", TYPES["style"])
    assert len({*lines}) == len(lines) >= 7 and can_tell(2, len(lines))
    studies = prompt_lines(place / "style.txt", TYPES["style"])
    assert len(studies) == 5 and {*studies} < {*lines} and not can_tell(2, 5)
    assert not any(".eval" in name for name in files)
