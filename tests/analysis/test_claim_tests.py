"""p-values of claims are the textbooks', and exchanged sides are labels that are exchanged."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lycoris_bench.analysis.claims.contrasts import settings
from lycoris_bench.analysis.claims.families import family
from lycoris_bench.analysis.claims.grid import grids
from lycoris_bench.analysis.claims.significance import (
    SMALL,
    ClaimTest,
    Least,
    of_claim,
    of_order,
    signs,
)
from lycoris_bench.analysis.claims.verdicts import judged
from lycoris_bench.analysis.comparing.two_way import beyond
from tests.analysis.conftest import named, row


def drawn(seed: int, shape: tuple[int, ...], mean: float, noise: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, noise, shape)


AS_THEY_ARE = np.ones((1, 12))


@pytest.mark.parametrize("expected", ["more", "less"])
@pytest.mark.parametrize("mean", [0.1, -0.1])
def test_a_direction_is_students_t(expected: str, mean: float) -> None:
    """One seed: the mean of independent classes."""
    cells = drawn(0, (1, 12), mean, 0.1)
    test = of_claim(cells, AS_THEY_ARE, expected)
    assert test.p[0] == pytest.approx(stats.ttest_1samp(cells[0], 0).pvalue)
    assert test.agrees[0] == ((mean > 0) == (expected == "more")) and test.change[0]


def test_an_effect_is_no_surer_than_the_pairs_of_the_study_are() -> None:
    """Three seeds that happen to agree: the error is that of all pairs, with their freedom."""
    cells = np.full((3, 4), 0.1) + drawn(7, (3, 4), 0.0, 1e-6)
    test = of_claim(cells, AS_THEY_ARE[:, :4], "more", Least(0.05**2, 20.0))
    assert test.p[0] == pytest.approx(2 * stats.t.sf(0.1 / 0.05, 20), rel=1e-4)
    louder = drawn(8, (3, 4), 0.1, 1.0)
    least = of_claim(louder, AS_THEY_ARE[:, :4], "more", Least(0.05**2, 20.0))
    assert least.p[0] == of_claim(louder, AS_THEY_ARE[:, :4], "more").p[0]


def test_little_is_two_one_sided_tests() -> None:
    cells = drawn(1, (1, 12), 0.02, 0.05)
    test = of_claim(cells, AS_THEY_ARE, "little")
    below = stats.ttest_1samp(cells[0], SMALL, alternative="less").pvalue
    above = stats.ttest_1samp(cells[0], -SMALL, alternative="greater").pvalue
    assert test.p[0] == pytest.approx(max(below, above)) and test.p[0] < 0.05
    assert test.agrees[0] and not test.change[0]


def test_more_than_little_is_a_test_at_the_nearer_bound() -> None:
    cells = drawn(2, (1, 12), -0.3, 0.1)
    test = of_claim(cells, AS_THEY_ARE, "little")
    nearer = stats.ttest_1samp(cells[0], -SMALL, alternative="less").pvalue
    assert test.p[0] == pytest.approx(nearer, rel=0.01) and test.p[0] < 0.05
    assert not test.agrees[0] and test.change[0]


@pytest.mark.parametrize("noise", [0.05, 0.3, 3.0])
def test_it_is_kept_at_the_bound_however_loud_the_noise(noise: float) -> None:
    cells = drawn(3, (20_000, 12), SMALL, noise)
    stderr = cells.std(axis=1, ddof=1) / np.sqrt(12)
    rate = np.mean(beyond(cells.mean(axis=1), stderr, 11, SMALL) <= 0.05)
    assert rate == pytest.approx(0.05, abs=0.006)


def test_an_order_holds_by_the_least_sure_of_its_pairs() -> None:
    """Against Holm's steps, written out."""
    levels = drawn(4, (3, 1, 12), 0.0, 0.1) + np.array([0.4, 0.2, 0.1])[:, None, None]
    pairs = np.stack([levels[i] - levels[j] for i, j in combinations(range(3), 2)])
    naive = np.array([stats.ttest_1samp(cells[0], 0).pvalue for cells in pairs])
    order = np.argsort(naive)
    stepped = np.maximum.accumulate(naive[order] * [3, 2, 1])
    test, p = of_order(pairs, AS_THEY_ARE)
    np.testing.assert_allclose(p[order], stepped)
    assert test.agrees[0] and test.p[0] == pytest.approx(stepped.max())
    test, p = of_order(-pairs, AS_THEY_ARE)
    assert not test.agrees[0] and test.p[0] == pytest.approx(stepped.min())
    test, p = of_order(pairs * np.array([1, 1, -1])[:, None, None], AS_THEY_ARE)
    assert not test.agrees[0] and test.p[0] == pytest.approx(p[2])


def test_a_family_is_benjamini_hochbergs() -> None:
    p = np.random.default_rng(5).random((12, 1)) ** 3
    tests = [ClaimTest(of_one, np.array([True]), np.array([True])) for of_one in p]
    made = family(tests)
    np.testing.assert_allclose(made.p_adjusted, stats.false_discovery_control(p[:, 0]))
    assert made.tests == 12 and made.verdicts == (np.array(made.p_adjusted) <= 0.05).sum() > 0
    assert made.false == pytest.approx(0.05 * made.verdicts)
    assert family([]).record() == {
        "tests": 0, "verdicts": 0, "false": 0.0, "exchanged": 0.0, "exchanged_95": 0,
    }  # fmt: skip


def test_a_little_effect_that_holds_is_not_false_where_sides_are_exchanged() -> None:
    sure, p = np.array([True, True]), np.zeros(2)
    assert family([ClaimTest(p, sure, ~sure)]).exchanged == 0
    assert family([ClaimTest(p, sure, sure)]).exchanged == 1


def pair(classes: int, seed: int = 6) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and factors of two configurations that differ in the rate."""
    random = np.random.default_rng(seed)
    rows = []
    for name, shift in (("slow", 0.0), ("fast", 0.3)):
        for s in range(3):
            for k in range(classes):
                for metric, kind in (("image_similarity", "trigger"), ("text_similarity", "alter")):
                    score = shift + random.normal(0, 0.05)
                    about = {"seed": s, "class_name": f"c{k}", "metric": metric}
                    rows.append({**row(0.0, name, prompt_type=kind, **about), "score": score})
    about = {"algorithm": "lora", "preset": "full", "capacity": 1, "importance": True}
    factors = pd.DataFrame([{"configuration": "slow", "lr": 1e-4, **about},
                            {"configuration": "fast", "lr": 1e-3, **about}])  # fmt: skip
    return named(pd.DataFrame(rows)), named(factors)


@pytest.mark.study
def test_exchanged_sides_are_exchanged_labels() -> None:
    """The labels are exchanged in the table itself, draw by draw, and all is judged anew."""
    scores, factors = pair(classes=4)
    draws, other = 30, {"slow": "fast", "fast": "slow"}
    found = judged(grids(scores), settings(factors), draws)
    counts = []
    for sides in signs(draws, 4)[1:]:
        turned = scores["class"].map({f"c{k}": side < 0 for k, side in enumerate(sides)})
        names = scores["series"].where(~turned, scores["series"].map(other))
        dealt = judged(grids(scores.assign(series=names)), settings(factors), 0)
        counts.append(dealt["overall"]["verdicts"])
    assert found["overall"]["exchanged"] == pytest.approx(np.mean(counts)) and max(counts) > 0
    assert found["overall"]["exchanged_95"] == sorted(counts)[28]
    assert found["overall"]["verdicts"] == 2  # the rate raises fidelity, and does not lower control
