"""What a study can show: against the noncentral t by hand, the audit's sizes, simulation."""

import numpy as np
import pytest
from scipy import special, stats

from lycoris_bench.analysis.compare import compare
from lycoris_bench.analysis.comparing.mean_squares import Components, mean_squares
from lycoris_bench.analysis.comparing.power import CAPTION_STUDY, smallest_difference

SIZES = ((1, 6), (3, 28), (10, 28), (3, 56))
AUDITED = {"fidelity": (0.44, 0.18, 0.16, 0.135), "preservation": (0.47, 0.21, 0.14, 0.19)}


def test_one_seed_is_a_t_test_over_classes() -> None:
    """6 classes, df 5: a difference that scipy's noncentral t finds in 80 %."""
    found = smallest_difference(Components(0.0, 0.1, 0.05), 1, 6)
    shift = found / np.sqrt(0.15 / 6)
    missed = stats.nct.cdf(stats.t.ppf(0.975, 5), 5, shift)
    assert missed == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("criterion", AUDITED)
def test_with_a_known_error_it_would_be_what_was_audited(criterion: str) -> None:
    """2.80 stderr: one pair, two-sided at .05, 80 %; noise of seeds counted with one seed too."""
    parts = CAPTION_STUDY[criterion]
    for (seeds, classes), expected in zip(SIZES, AUDITED[criterion], strict=True):
        variance = (
            parts.of_seeds / seeds + parts.of_classes / classes + parts.residual / seeds / classes
        )
        assert 2.80 * np.sqrt(variance) == pytest.approx(expected, abs=0.006)


def test_measuring_the_error_costs_and_many_configurations_pay_it_back() -> None:
    """Of one pair among 26 it is nearly as if it were known; three seeds of two say little."""
    for criterion, expected in AUDITED.items():
        parts = CAPTION_STUDY[criterion]
        for size, known in list(zip(SIZES, expected, strict=True))[1:]:
            many = smallest_difference(parts, *size, configurations=26)
            assert many == pytest.approx(known, rel=0.16)
    style = CAPTION_STUDY["preservation"]
    assert smallest_difference(style, 3, 28) == pytest.approx(0.30, abs=0.005)
    assert smallest_difference(style, 3, 28, configurations=26) == pytest.approx(0.24, abs=0.005)


def test_what_helps() -> None:
    """More classes help image similarity, more seeds style loss; more pairs help nobody."""
    image, style = CAPTION_STUDY["fidelity"], CAPTION_STUDY["preservation"]
    base, seeds, classes = SIZES[1:]
    for parts, helps, helps_less in ((image, classes, seeds), (style, seeds, classes)):
        best, second, as_is = (
            smallest_difference(parts, *size) for size in (helps, helps_less, base)
        )
        assert best < second < as_is
    assert smallest_difference(image, 3, 28, pairs=28) > smallest_difference(image, 3, 28)
    assert smallest_difference(image, 3, 28, power=0.9) > smallest_difference(image, 3, 28)
    assert smallest_difference(image, 1, 1) == np.inf
    assert smallest_difference(Components(0.0, 0.0, 0.0), 3, 28) == 0
    assert np.isnan(smallest_difference(Components(np.nan, np.nan, np.nan), 3, 28))


def differences(parts: Components, seeds: int, classes: int, count: int) -> np.ndarray:
    """Paired differences of equals, [count, seeds, classes]; one seed has no noise to be seen."""
    random = np.random.default_rng(3)
    of_seeds = parts.of_seeds if seeds > 1 else 0.0
    return (
        random.normal(0, np.sqrt(of_seeds), (count, seeds, 1))
        + random.normal(0, np.sqrt(parts.of_classes), (count, 1, classes))
        + random.normal(0, np.sqrt(parts.residual), (count, seeds, classes))
    )


@pytest.mark.slow
@pytest.mark.parametrize("criterion", CAPTION_STUDY)
@pytest.mark.parametrize("size", SIZES)
def test_four_of_five_studies_find_it(criterion: str, size: tuple[int, int]) -> None:
    """The two-way t-test of a pair that was named before."""
    parts = CAPTION_STUDY[criterion]
    cells = differences(parts, *size, 4000) + smallest_difference(parts, *size)
    squares = mean_squares(cells)
    critical = special.stdtrit(squares.df, 0.975)
    found = cells.mean(axis=(1, 2)) > critical * np.sqrt(squares.variance)
    assert found.mean() == pytest.approx(0.8, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", CAPTION_STUDY)
@pytest.mark.parametrize("configurations", [8, 26])
def test_a_configuration_ahead_of_many_is_told_apart(criterion: str, configurations: int) -> None:
    """By the whole rule of `compare`, at 3 x 28: 78 to 85 % of its pairs."""
    parts = CAPTION_STUDY[criterion]
    pairs = configurations * (configurations - 1) // 2
    ahead = smallest_difference(parts, 3, 28, pairs=pairs, configurations=configurations)
    told = []
    for scores in np.split(differences(parts, 3, 28, 150 * configurations), 150):
        scores = scores / np.sqrt(2)
        scores[0] += ahead
        told.append(compare(scores).different[0, 1:].mean())
    assert 0.74 <= np.mean(told) <= 0.88
