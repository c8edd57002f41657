"""Which configurations differ: small cases by hand, exact tests by enumeration, missing cells."""

import re
from itertools import combinations, permutations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lycoris_bench.analysis.compare import compare
from lycoris_bench.analysis.comparing.front import on_front, resampled_means
from lycoris_bench.analysis.comparing.many_tests import benjamini_hochberg, holm
from lycoris_bench.analysis.comparing.mean_squares import mean_squares
from lycoris_bench.analysis.comparing.pairs import (
    blocks_of,
    grids,
    mean_components,
    paired,
    study_noise,
)
from lycoris_bench.analysis.comparing.permutation import range_test
from lycoris_bench.analysis.comparing.two_way import two_way
from lycoris_bench.analysis.comparing.winner import unselected_score


def noise(configurations: int, seeds: int, classes: int, seed: int = 0) -> np.ndarray:
    """Scores around 0 of configurations that are equal, but for a noise of each part."""
    random = np.random.default_rng(seed)
    return (
        random.normal(0, 0.03, (configurations, seeds, 1))
        + random.normal(0, 0.2, (configurations, 1, classes))
        + random.normal(0, 0.15, (configurations, seeds, classes))
    )


def test_two_configurations_are_a_paired_two_way_test() -> None:
    scores = noise(2, 3, 28) + np.array([0.5, 0.0])[:, None, None]
    result, peer = compare(scores), two_way(scores[0] - scores[1])
    assert result.difference[0, 1] == pytest.approx(peer.mean) == -result.difference[1, 0]
    assert (result.stderr[0, 1], result.df[0, 1]) == pytest.approx((peer.stderr, peer.df))
    assert result.p[0, 1] == pytest.approx(max(peer.p, 1 / 2000))
    assert result.verdict(0, 1) == result.verdict(1, 0) == "different"
    assert result.winner == 0
    assert result.rank_intervals.tolist() == [[1, 1], [2, 2]]


def test_noise_is_measured_over_all_pairs_and_is_never_below_a_pairs_own() -> None:
    scores = noise(6, 1, 9)
    result = compare(scores)
    own = {
        (i, j): stats.sem(scores[i, 0] - scores[j, 0]) ** 2 for i, j in combinations(range(6), 2)
    }
    mean = np.mean(list(own.values()))
    for (i, j), variance in own.items():
        assert result.stderr[i, j] ** 2 == pytest.approx(max(mean, variance))
        assert result.df[i, j] == pytest.approx(5 * 8)  # as in an analysis of variance of 6 x 9
        assert result.seeds[i, j] == 1
    # the same as the interaction's mean square: twice it is what a difference varies by
    centred = scores[:, 0] - scores[:, 0].mean(axis=0) - scores[:, 0].mean(axis=1, keepdims=True)
    interaction = ((centred + scores.mean()) ** 2).sum() / 40
    assert mean == pytest.approx(2 * interaction / 9)


def test_three_words() -> None:
    random = np.random.default_rng(0)
    small = random.normal(0, 0.01, (3, 3, 12))
    loud = random.normal(0, 0.6, (3, 3, 12))
    result = compare(small + np.array([0.0, 0.3, 0.3])[:, None, None])
    assert [result.verdict(0, 1), result.verdict(1, 2)] == ["different", "equivalent"]
    assert compare(loud).verdict(0, 1) == "undecided"
    assert compare(small, margin=0.001).verdict(0, 1) == "undecided"


def test_identical_configurations_are_equivalent() -> None:
    result = compare(np.repeat(noise(1, 3, 5), 3, axis=0))
    assert result.p.min() == 1
    assert result.equivalent.sum() == 6
    assert result.rank_intervals.tolist() == [[1, 3]] * 3


def test_few_classes_tell_nothing_apart_however_alike_their_differences() -> None:
    """Ranks of two configurations differ by 1 everywhere: with three classes, one deal in four
    looks like that; with six, one in 32."""
    for classes, word in ((3, "undecided"), (6, "different")):
        always = np.stack([np.ones((1, classes)), np.zeros((1, classes))])
        assert compare(always).verdict(0, 1) == word


def test_range_test_is_the_share_of_deals_that_lie_as_far_apart() -> None:
    blocks = np.array([[0.9, 0.8, 0.4], [0.4, 0.3, 0.0], [0.1, 0.5, 0.7]])  # from best to worst

    def deals(some: np.ndarray) -> float:
        """The share of all deals of labels with a range of that of the means."""
        size = len(some)
        ranges = [
            np.ptp(np.mean([some[list(order), k] for k, order in enumerate(deal)], axis=0))
            for deal in product(permutations(range(size)), repeat=3)
        ]
        return float(np.mean(np.array(ranges) >= np.ptp(some.mean(axis=1)) - 1e-9))

    three, two = deals(blocks[[0, 2, 1]]), deals(blocks[[0, 2]])
    p = range_test(blocks, 0)
    assert p == pytest.approx([1, three, max(two, three)], abs=0.04)
    assert range_test(blocks[:, :1], 0).tolist() == [1, 1, 1]


def test_a_far_worse_one_does_not_hide_how_the_best_differ() -> None:
    random = np.random.default_rng(3)
    blocks = random.normal(0, 0.1, (4, 28)) + np.array([0.3, 0.0, 0.0, -5.0])[:, None]
    assert (range_test(blocks, 0)[1:] <= 0.01).all()


def test_a_block_is_the_longer_of_both_axes() -> None:
    scores = noise(2, 3, 5)
    assert blocks_of(scores) == pytest.approx(scores.mean(axis=1))
    assert blocks_of(scores[:, :, :1]) == pytest.approx(scores[:, :, 0])


def test_only_blocks_that_all_have_are_shuffled() -> None:
    blocks = noise(4, 1, 9)[:, 0]
    blocks[3, :2] = np.nan
    winner = int(np.nanmean(blocks, axis=1).argmax())
    assert range_test(blocks, winner).tolist() == range_test(blocks[:, 2:], winner).tolist()


def test_a_pair_is_compared_by_the_cells_that_both_have() -> None:
    scores = noise(4, 3, 8)
    scores[2, 1] = np.nan
    scores[3, :, 4:] = np.nan
    result = compare(scores)
    assert result.difference[0, 1] == pytest.approx((scores[0] - scores[1]).mean())
    assert result.difference[2, 0] == pytest.approx((scores[2] - scores[0])[[0, 2]].mean())
    assert result.difference[2, 3] == pytest.approx((scores[2] - scores[3])[[0, 2], :4].mean())
    assert result.seeds[0].tolist()[1:] == [3, 2, 3]


def test_sides_without_a_common_seed_are_compared_by_class() -> None:
    scores = np.full((2, 3, 6), np.nan)
    scores[0, :2], scores[1, 2] = noise(2, 2, 6)[0], 0.25  # an adapter from elsewhere: no seed
    cells = paired(scores[:1], scores[1:])[0]
    assert cells[0] == pytest.approx(scores[0, :2].mean(axis=0) - 0.25)
    assert np.isnan(cells[1:]).all()
    result = compare(scores)
    assert result.seeds[0, 1] == 1
    assert result.stderr[0, 1] == pytest.approx(stats.sem(cells[0]))


def test_nothing_shared_is_undecided() -> None:
    scores = np.full((3, 1, 4), np.nan)
    scores[0, 0, :2], scores[1, 0, 2:], scores[2, 0, 0] = 1.0, 0.0, 0.5
    result = compare(scores)
    assert {result.verdict(i, j) for i, j in combinations(range(3), 2)} == {"undecided"}
    assert result.rank_intervals.tolist() == [[1, 3]] * 3
    assert compare(scores[:1]).verdict(0, 0) == "undecided"


def test_grids_of_cells() -> None:
    """A seed that is absent is a row of its own; cells that a side lacks are nan; others are left
    out."""
    cells = pd.DataFrame({
        "series": ["x", "x", "x", "y", "z"],
        "seed": pd.array([23, 23, 24, None, 23], dtype="Int64"),
        "unit": ["a", "b", "a", "b", "a"],
        "score": [1.0, 2.0, 3.0, 4.0, 5.0],
    })  # fmt: skip
    expected = [[[1, 2], [3, np.nan], [np.nan] * 2], [[np.nan] * 2, [np.nan] * 2, [np.nan, 4]]]
    for table in (cells, cells.astype({"series": "category", "unit": "category"})):
        found = grids(table, "score", {"series": ["x", "y"]})
        np.testing.assert_array_equal(found, np.array(expected))
        turned = grids(table, "score", {"unit": ["b", "a"], "series": ["y", "x"]})
        assert turned.shape == (2, 2, 3, 2) and turned[0, 0, 2, 1] == 4 and turned[1, 1, 1, 0] == 3
    np.testing.assert_array_equal(grids(cells[:3], "score", {}), [[1, 2], [3, np.nan]])


def test_components_are_those_of_the_pairs() -> None:
    scores = noise(4, 3, 8)
    expected = [mean_squares(scores[i] - scores[j]) for i, j in combinations(range(4), 2)]
    components = mean_components(scores)
    assert components.residual == pytest.approx(np.mean([s.e for s in expected]))
    assert components.of_classes == pytest.approx(np.mean([(s.b - s.e) / 3 for s in expected]))
    assert np.isnan(mean_components(scores[:1]).residual)


def test_a_contrast_takes_the_noise_of_all_pairs() -> None:
    """As `compare` does of a pair; the mean of two separate pairs has half its variance."""
    scores = noise(8, 3, 28)
    everyone, result = study_noise(scores), compare(scores)
    for i, j in combinations(range(8), 2):
        pair = two_way(scores[i] - scores[j], everyone)
        assert (pair.stderr, pair.df) == pytest.approx((result.stderr[i, j], result.df[i, j]))
    mean = two_way((scores[0] - scores[1] + scores[2] - scores[3]) / 2, everyone, weight=0.5)
    own = two_way((scores[0] - scores[1] + scores[2] - scores[3]) / 2).stderr
    least = np.sqrt(everyone.components.mean_squares(3, 28).variance / 2)
    assert mean.stderr == pytest.approx(max(own, least))
    assert study_noise(scores[:1]) is None


def test_many_tests_against_the_definitions() -> None:
    p = np.array([0.012, 0.2, 0.011, 0.04])
    assert holm(p).tolist() == pytest.approx([0.044, 0.2, 0.044, 0.08])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.024, 0.2, 0.024, 0.04 * 4 / 3])
    assert len(holm(np.array([]))) == len(benjamini_hochberg(np.array([]))) == 0


def test_the_winner_of_a_class_is_chosen_without_it() -> None:
    """By loops; with a seed each, without its seed too."""
    scores = noise(5, 3, 4)
    cells = []
    for seed, column in product(range(3), range(4)):
        rest = np.delete(np.delete(scores, seed, axis=1), column, axis=2)
        cells.append(scores[rest.mean(axis=(1, 2)).argmax(), seed, column])
    assert unselected_score(scores) == pytest.approx(np.mean(cells))
    one = [scores[np.delete(scores[:, 0], k, axis=1).mean(axis=1).argmax(), 0, k] for k in range(4)]
    assert unselected_score(scores[:, :1]) == pytest.approx(np.mean(one))
    assert np.isnan(unselected_score(scores[:, :1, :1]))


def test_on_the_front() -> None:
    first, second = noise(3, 3, 9, seed=1) / 100, noise(3, 3, 9, seed=2) / 100
    faithful, diverse = np.array([0.9, 0.1, 0.0]), np.array([0.1, 0.9, 0.0])
    criteria = [first + faithful[:, None, None], second + diverse[:, None, None]]
    assert on_front(criteria).tolist() == pytest.approx([1, 1, 0], abs=0.02)
    criteria[1][2] = np.nan
    assert np.isnan(on_front(criteria)).tolist() == [False, False, True]


def test_of_two_by_one_criterion_the_better_is_on_the_front() -> None:
    """As often as a normal difference is above 0."""
    scores = noise(2, 3, 28)
    squares = mean_squares(scores[0] - scores[1])
    spread = np.sqrt((squares.a + squares.b) / 84)
    first = stats.norm.cdf((scores[0] - scores[1]).mean() / spread)
    assert 0.1 < first < 0.9
    assert on_front([scores]).tolist() == pytest.approx([first, 1 - first], abs=0.03)


def test_resampled_means_vary_as_seeds_and_classes_do() -> None:
    scores = noise(2, 3, 28)
    means = resampled_means(scores)
    squares = mean_squares(scores[0] - scores[1])
    apart = means[:, 0] - means[:, 1]
    middle = scores[0].mean() - scores[1].mean()
    assert np.median(apart) == pytest.approx(middle, abs=0.005)
    # Half of the draws of a sum of two t-numbers, drawn again by scipy.
    of_seeds, of_classes = (float(np.sqrt(square / 84)) for square in (squares.a, squares.b))
    drawn = of_seeds * stats.t(2).rvs(20000, random_state=1)
    drawn += of_classes * stats.t(27).rvs(20000, random_state=2)
    assert np.median(abs(apart - middle)) == pytest.approx(np.median(abs(drawn)), rel=0.1)
    assert np.isnan(resampled_means(scores[:, :1, :1])).all()


def test_the_page_shows_how() -> None:
    page = (Path(__file__).parents[2] / "docs/analysis.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names = {"scores": noise(2, 3, 28)}
    exec(compile(next(b for b in blocks if "compare(scores)" in b), "analysis.md", "exec"), names)
    assert names["result"].verdict(0, 1) == "undecided"
