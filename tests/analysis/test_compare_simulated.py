"""Do comparisons keep what they promise? Studies of equal configurations, with the noise of the
authors' caption study (`benchmarks/inference.py` prints more of them, before and after)."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from benchmarks import inference
from benchmarks.inference import closed, holds_after, studies, worse_after
from lycoris_bench.analysis.compare import compare
from lycoris_bench.analysis.comparing.mean_squares import mean_squares
from lycoris_bench.analysis.comparing.power import CAPTION_STUDY
from lycoris_bench.analysis.comparing.winner import unselected_score

pytestmark = pytest.mark.slow
SMALL, MIDDLE, LARGE = (6, 1, 6), (8, 3, 28), (26, 3, 28)  # configurations, seeds, classes
TRAINED_ONCE = ("preservation",)  # where noise of training, which one seed hides, is most of it


@pytest.mark.parametrize("criterion", CAPTION_STUDY)
@pytest.mark.parametrize(("size", "count"), [(SMALL, 1000), (MIDDLE, 600), (LARGE, 300)])
def test_of_equals_none_is_worse_than_the_winner(
    criterion: str, size: tuple[int, int, int], count: int
) -> None:
    """At most 6 % of studies have any. Not reached where style loss is trained once: 11 %."""
    rate = np.mean([worse_after(s) for s in studies(CAPTION_STUDY[criterion], count, size)])
    hidden = size[1] == 1 and criterion in TRAINED_ONCE
    assert rate <= (0.14 if hidden else 0.06)
    assert not hidden or rate > 0.06  # or the page can promise it


@pytest.mark.parametrize("criterion", CAPTION_STUDY)
@pytest.mark.parametrize("louder", [1, 4])
def test_nor_where_some_are_twice_as_noisy(criterion: str, louder: int) -> None:
    """One or half of 8: their pairs have their own error, that of all together is too small."""
    scale = np.where(np.arange(8) < louder, 2.0, 1.0)[:, None, None]
    drawn = studies(CAPTION_STUDY[criterion], 600, MIDDLE, seed=1)
    assert np.mean([worse_after(scale * s) for s in drawn]) <= 0.065


@pytest.mark.parametrize("criterion", CAPTION_STUDY)
@pytest.mark.parametrize(("size", "count"), [(SMALL, 1000), (MIDDLE, 600)])
def test_nor_where_scores_are_ranks(criterion: str, size: tuple[int, int, int], count: int) -> None:
    """Among the checkpoints, class by class, between 0 and 1."""
    rate = np.mean([worse_after(r) for r in ranked(criterion, count, size)])
    assert rate <= (0.14 if size[1] == 1 and criterion in TRAINED_ONCE else 0.06)


def ranked(criterion: str, count: int, size: tuple[int, int, int]) -> Iterator[np.ndarray]:
    for scores in studies(CAPTION_STUDY[criterion], count, size, seed=2):
        flat = scores.reshape(-1, size[2])
        yield ((stats.rankdata(flat, axis=0) - 1) / (len(flat) - 1)).reshape(size)


@pytest.mark.parametrize("criterion", CAPTION_STUDY)
def test_two_way_intervals_cover(criterion: str) -> None:
    """95 % of them, of 3 x 28: within what three seeds allow, and not by being too wide."""
    cells = np.stack([s[0] - s[1] for s in studies(CAPTION_STUDY[criterion], 4000, (2, 3, 28))])
    squares = mean_squares(cells)
    half = stats.t.ppf(0.975, squares.df) * np.sqrt(squares.variance)
    coverage = np.mean(np.abs(cells.mean(axis=(1, 2))) <= half)
    assert 0.94 <= coverage <= 0.985


@pytest.mark.parametrize("criterion", CAPTION_STUDY)
@pytest.mark.parametrize("spread", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("configurations", [8, 26])
def test_the_winners_luck_is_not_in_its_score(
    criterion: str, spread: float, configurations: int
) -> None:
    """Less than .02 of score, whether configurations are equal or not."""
    truth = np.random.default_rng(4).normal(0, spread, (600, configurations))
    luck = []
    drawn = studies(CAPTION_STUDY[criterion], 600, (configurations, 3, 28), seed=5)
    for scores, true in zip(drawn, truth, strict=True):
        scores = scores + true[:, None, None]
        winner = scores.mean(axis=(1, 2)).argmax()
        luck.append(unselected_score(scores) - true[winner])
    assert abs(np.mean(luck)) <= 0.02


@pytest.mark.parametrize("criterion", CAPTION_STUDY)
def test_rank_intervals_hold_all_true_ranks(criterion: str) -> None:
    """Of 8 configurations .05 apart, the last two equal: all of them in 95 % of studies."""
    truth = np.array([0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.0, 0.0])
    best = 1 + (truth[:, None] < truth).sum(axis=1)
    held, width = [], []
    for scores in studies(CAPTION_STUDY[criterion], 400, MIDDLE, seed=6):
        low, high = compare(scores + truth[:, None, None]).rank_intervals.T
        held.append(((low <= best) & (best <= high)).all())
        width.append((high - low).mean())
    assert np.mean(held) >= 0.94
    assert np.mean(width) < 7  # and they say something


@pytest.mark.parametrize("criterion", CAPTION_STUDY)
def test_an_order_of_equals_does_not_hold(criterion: str) -> None:
    drawn = studies(CAPTION_STUDY[criterion], 300, (3, 3, 28), seed=7)
    assert np.mean([holds_after(s) for s in drawn]) <= 0.02


def test_the_error_of_a_ratio_is_its_spread() -> None:
    spread, before, after = closed(2000)
    assert after == pytest.approx(spread, rel=0.1)
    assert before < spread / 2


def test_the_benchmark_prints_a_row_for_each_question(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["inference", "--studies", "4"])
    inference.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(inference.QUESTIONS) + 2
    assert {line.count(" -> ") for line in rows[1:]} == {len(CAPTION_STUDY)}
