"""The two-way error against a naive analysis of variance, scipy's t-tests, and sizes by hand."""

import numpy as np
import pytest
from scipy import stats

from lycoris_bench.analysis.comparing.mean_squares import Components, mean_squares
from lycoris_bench.analysis.comparing.two_way import complete, two_way, two_way_ratio


@pytest.fixture
def cells() -> np.ndarray:
    """4 seeds x 7 classes around .2, with noise of both and a rest."""
    random = np.random.default_rng(0)
    seeds, classes = random.normal(0, 0.2, (4, 1)), random.normal(0, 0.3, (1, 7))
    return 0.2 + seeds + classes + random.normal(0, 0.1, (4, 7))


def test_mean_squares_are_those_of_an_analysis_of_variance(cells: np.ndarray) -> None:
    """Sums of squares by loops; that of the rest is what remains of the total."""
    mean = sum(cells.ravel()) / 28
    of_seeds = sum(7 * (sum(row) / 7 - mean) ** 2 for row in cells)
    of_classes = sum(4 * (sum(column) / 4 - mean) ** 2 for column in cells.T)
    total = sum((value - mean) ** 2 for value in cells.ravel())
    squares = mean_squares(cells)
    assert squares.a == pytest.approx(of_seeds / 3)
    assert squares.b == pytest.approx(of_classes / 6)
    assert squares.e == pytest.approx((total - of_seeds - of_classes) / 18)


def test_error_and_degrees_of_freedom(cells: np.ndarray) -> None:
    squares = mean_squares(cells)
    a, b, e = float(squares.a), float(squares.b), float(squares.e)
    estimate = two_way(cells)
    assert estimate.stderr == pytest.approx(((a + b - e) / 28) ** 0.5)
    assert estimate.df == pytest.approx((a + b - e) ** 2 / (a**2 / 3 + b**2 / 6 + e**2 / 18))
    low, high = stats.t.interval(0.95, estimate.df, estimate.mean, estimate.stderr)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert (estimate.seeds, estimate.classes, estimate.training_noise) == (4, 7, True)
    assert estimate.reason == "" and estimate.left_out == 0


@pytest.mark.parametrize("shape", [(1, 7), (7, 1)])
def test_a_single_line_is_a_t_test(cells: np.ndarray, shape: tuple[int, int]) -> None:
    line = cells[0].reshape(shape)
    peer, estimate = stats.ttest_1samp(line.ravel(), 0), two_way(line)
    assert estimate.p == pytest.approx(peer.pvalue)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(peer.confidence_interval(0.95)))
    assert estimate.training_noise == (shape[0] > 1)


def test_no_part_alone_makes_the_error_smaller() -> None:
    """Where seeds and classes vary less than the rest does, A + B - E may be 0."""
    cells = np.array([[1.0, 0.0], [0.0, 1.0]])  # A = B = 0, E = 1
    estimate = two_way(cells)
    assert estimate.stderr == pytest.approx(0.5)
    assert estimate.df == pytest.approx(1)


def test_nothing_that_varies_is_sure_and_does_not_warn() -> None:
    same, always = two_way(np.zeros((3, 5))), two_way(np.full((3, 5), 0.25))
    assert (same.p, same.low, same.high) == (1, 0, 0)
    assert (always.p, always.low, always.high) == (0, 0.25, 0.25)
    assert same.equivalent(0.05) and not always.equivalent(0.05)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (np.zeros((0, 0)), "no cell of seed and class"),
        (np.full((2, 3), np.nan), "no cell of seed and class"),
        (np.array([[0.5]]), "only one cell of seed and class"),
        (np.array([[0.5, np.nan]]), "only one cell of seed and class"),
    ],
)
def test_too_little_has_no_error_and_a_reason(cells: np.ndarray, reason: str) -> None:
    estimate = two_way(cells)
    assert estimate.reason == reason
    assert np.isnan([estimate.stderr, estimate.df, estimate.low, estimate.high]).all()
    assert estimate.p == 1 and not estimate.equivalent(10)


def test_missing_cells_leave_the_largest_complete_part(cells: np.ndarray) -> None:
    lacking = cells.copy()
    lacking[1] = np.nan  # a seed that failed
    lacking[0, 3] = np.nan  # one cell: a seventh of the seed, a third of the class
    estimate = two_way(lacking)
    assert estimate == two_way_of_the_rest(cells)
    assert estimate.left_out == 2
    seeds, classes = complete(~np.isnan(lacking))
    assert seeds.tolist() == [0, 2, 3] and classes.tolist() == [0, 1, 2, 4, 5, 6]


def two_way_of_the_rest(cells: np.ndarray) -> object:
    from dataclasses import replace

    rest = two_way(np.delete(np.delete(cells, 1, axis=0), 3, axis=1))
    return replace(rest, left_out=2)


def test_equivalence_is_the_ninety_percent_interval_inside_the_margin(cells: np.ndarray) -> None:
    estimate = two_way(cells)
    low, high = estimate.interval(0.9)
    edge = max(-low, high)
    assert estimate.equivalent(edge + 1e-6) and not estimate.equivalent(edge - 1e-6)


def test_a_ratio_has_the_error_of_both_of_its_sides() -> None:
    """Against a bootstrap of classes; with the denominator for a constant, it is too small."""
    random = np.random.default_rng(1)
    below = 0.3 + random.normal(0, 0.15, (1, 200))
    above = 0.5 * below + random.normal(0, 0.02, (1, 200))
    estimate = two_way_ratio(above, below)
    drawn = random.integers(200, size=(4000, 200))
    resampled = above[0][drawn].mean(axis=1) / below[0][drawn].mean(axis=1)
    assert estimate.mean == pytest.approx(above.mean() / below.mean())
    assert estimate.stderr == pytest.approx(resampled.std(), rel=0.06)
    assert two_way(above / below.mean()).stderr > 2 * estimate.stderr  # what varies with it cancels


def test_a_ratio_of_nothing_has_a_reason() -> None:
    assert two_way_ratio(np.ones((1, 3)), np.zeros((1, 3))).reason == (
        "the mean that it is divided by is 0"
    )
    assert two_way_ratio(np.full((1, 2), np.nan), np.ones((1, 2))).reason == "no cell has both"


def test_components_and_mean_squares_are_each_others_inverse(cells: np.ndarray) -> None:
    squares = mean_squares(cells)
    again = squares.components.mean_squares(4, 7)
    assert (again.a, again.b, again.e) == pytest.approx((squares.a, squares.b, squares.e))
    one = Components(0.01, 0.08, 0.06).mean_squares(1, 6)
    assert float(one.variance) == pytest.approx(0.14 / 6)  # a seed's own noise is not to be seen
    assert float(one.df) == 5
