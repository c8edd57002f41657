"""Do comparisons keep the error rates that they promise? Before and after `analysis/compare.py`.

    python -m benchmarks.inference [--studies 400]

Studies are simulated with equal configurations (or a known truth) and the variance components of
the paper's caption study (`analysis/comparing/power.py`), per criterion. *Before* are the rules of
`inference_before.py`, which take cells of seed and class for independent or resample both; *after*
is the two-way error. Rates are per cent of studies; two standard errors of a rate near 5 % are 2.2
at 400 studies. False verdicts on claims are counted in `inference_claims.py`."""

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np
import scipy

from benchmarks import inference_before as old
from benchmarks.inference_claims import of_claims
from lycoris_bench.analysis.claims.significance import of_order, signs
from lycoris_bench.analysis.compare import ALPHA, compare
from lycoris_bench.analysis.comparing.mean_squares import Components
from lycoris_bench.analysis.comparing.power import CAPTION_STUDY
from lycoris_bench.analysis.comparing.two_way import two_way, two_way_ratio
from lycoris_bench.analysis.comparing.winner import unselected_score

Size = tuple[int, int, int]  # configurations, seeds, classes
Rule = Callable[[np.ndarray], float]  # scores of a study -> what it says: 0 or 1, or a number


def studies(components: Components, count: int, size: Size, seed: int = 0) -> Iterator[np.ndarray]:
    """Scores [configurations, seeds, classes] of equal configurations around 0; the components are
    those of a difference of two, of which each has half."""
    random = np.random.default_rng(seed)
    configurations, seeds, classes = size
    parts = (
        ((configurations, seeds, 1), components.of_seeds),
        ((configurations, 1, classes), components.of_classes),
        ((configurations, seeds, classes), components.residual),
    )
    for _ in range(count):
        scores = np.zeros(size)
        for shape, variance in parts:
            scores += random.normal(0, np.sqrt(variance / 2), shape)
        yield scores


def worse_before(scores: np.ndarray) -> bool:
    """Whether the paired bootstrap over cells calls any configuration worse than the winner."""
    winner = int(scores.mean(axis=(1, 2)).argmax())
    return any(old.resolved(scores[winner], scores[k]) for k in range(len(scores)) if k != winner)


def worse_after(scores: np.ndarray) -> bool:
    """Whether `compare` does."""
    result = compare(scores)
    return bool(result.different[result.winner].any())


def better_before(scores: np.ndarray) -> bool:
    """Whether the bootstrap calls the first of two better."""
    return old.resolved(scores[0], scores[1])


def better_after(scores: np.ndarray) -> bool:
    """Whether the two-way interval does."""
    return two_way(scores[0] - scores[1]).low > 0


def covers_before(scores: np.ndarray) -> bool:
    """Whether the resampled interval of a claim's effect holds the truth, 0."""
    low, high = old.effect(scores[0] - scores[1])
    return low <= 0 <= high


def covers_after(scores: np.ndarray) -> bool:
    """Whether the two-way interval does."""
    estimate = two_way(scores[0] - scores[1])
    return estimate.low <= 0 <= estimate.high


def holds_before(scores: np.ndarray) -> bool:
    """Whether an order of three "holds": the resampled interval of its tau is above 0."""
    return bool(np.quantile(old.tau([old.resampled(grid) for grid in scores]), 0.025) > 0)


def holds_after(scores: np.ndarray) -> bool:
    """Whether it does: each of its pairs significant, Holm among them."""
    stated = np.stack([scores[i] - scores[j] for i, j in combinations(range(3), 2)])
    test, _ = of_order(stated, signs(0, scores.shape[-1]))
    return bool(test.agrees[0] and test.p[0] <= ALPHA)


def of_random_order(rule: Rule) -> Rule:
    """The share of all orders that "hold" of three that differ by .3 each; one of six is true."""

    def of_all_orders(scores: np.ndarray) -> float:
        unlike = scores + np.array([0.6, 0.3, 0.0])[:, None, None]
        return float(np.mean([rule(unlike[list(order)]) for order in permutations(range(3))]))

    return of_all_orders


def best_mean(scores: np.ndarray) -> float:
    """The printed score of the winner; the true one is 0."""
    return float(scores.mean(axis=(1, 2)).max())


@dataclass(frozen=True)
class Question:
    """A promise, the study that it is put to, and what both rules make of it, in `unit`s."""

    what: str
    promised: str
    size: Size
    before: Rule
    after: Rule
    unit: float = 0.01
    checkpoints: bool = False  # of these checkpoints: noise of training is no part of the question

    def answer(self, components: Components, count: int) -> tuple[float, float]:
        """The mean over simulated studies, before and after."""
        if self.checkpoints:
            components = replace(components, of_seeds=0.0)
        drawn = list(studies(components, count, self.size))
        means = (np.mean([rule(s) for s in drawn]) for rule in (self.before, self.after))
        before, after = (float(mean) / self.unit for mean in means)
        return before, after


WORSE, CURSE = "worse than the winner, % (all are equal)", "winner's score less its true one"
PAIR, COVERS = "first of a pair is better, %", "95 % interval of a pair covers, %"
ORDER = "an order of three equals holds, %"
ORDERS = "a random order of three that differ holds, %"
QUESTIONS = (
    *(Question(WORSE, "<= 5", s, worse_before, worse_after) for s in
      ((6, 1, 6), (8, 3, 28), (26, 3, 28))),
    Question(f"{WORSE}: checkpoints", "<= 5", (6, 1, 6), worse_before, worse_after,
             checkpoints=True),
    *(Question(PAIR, "2.5", s, better_before, better_after) for s in ((2, 1, 6), (2, 3, 28))),
    *(Question(CURSE, "0", s, best_mean, unselected_score, 1) for s in
      ((6, 1, 6), (8, 3, 28), (26, 3, 28))),
    *(Question(COVERS, "95", s, covers_before, covers_after) for s in
      ((2, 3, 28), (2, 3, 6), (2, 1, 39))),
    Question(f"{COVERS}: checkpoints", "95", (2, 1, 39), covers_before, covers_after,
             checkpoints=True),
    *(Question(ORDER, "<= 5", s, holds_before, holds_after) for s in ((3, 1, 6), (3, 3, 28))),
    Question(ORDERS, "<= 17", (3, 3, 28), of_random_order(holds_before),
             of_random_order(holds_after)),
)  # fmt: skip


def too_small(components: Components, count: int, size: Size) -> tuple[float, float]:
    """How many times smaller than the spread of a mean difference its printed ± is: sd / sqrt(n)
    before, the two-way error after (root mean squares)."""
    drawn = [scores[0] - scores[1] for scores in studies(components, count, size)]
    spread = np.std([cells.mean() for cells in drawn])
    before = np.sqrt(np.mean([cells.var(ddof=1) / cells.size for cells in drawn]))
    after = np.sqrt(np.mean([two_way(cells).stderr ** 2 for cells in drawn]))
    return float(spread / before), float(spread / after)


def closed(count: int, classes: int = 12, seed: int = 0) -> tuple[float, float, float]:
    """The spread of "distance closed", and its printed ± before (of the values alone) and after.

    Each class has its own base (.5, sd .08), real images (.75, .08) and value (.65, .03)."""
    random = np.random.default_rng(seed)
    shares, before, after = [], [], []
    for _ in range(count):
        base, real, value = random.normal([[0.5], [0.75], [0.65]], [[0.08], [0.08], [0.03]],
                                          (3, classes))  # fmt: skip
        estimate = two_way_ratio((value - base)[None], (real - base)[None])
        shares.append(estimate.mean)
        before.append(value.std(ddof=1) / np.sqrt(classes) / (real - base).mean())
        after.append(estimate.stderr)
    old_error, error = (float(np.sqrt(np.mean(np.square(e)))) for e in (before, after))
    return float(np.std(shares)), old_error, error


def row(what: str, promised: str, size: str, answers: list[tuple[float, float]]) -> str:
    """A line of the table: before and after of each criterion."""
    cells = [f"{before:.3g} -> {after:.3g}" for before, after in answers]
    return f"| {' | '.join([what, promised, size, *cells])} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400)
    count, began = parser.parse_args().studies, time.time()
    print(f"| what | promised | study | {' | '.join(CAPTION_STUDY)} |\n|{'---|' * 7}")
    for question in QUESTIONS:
        answers = [question.answer(parts, count) for parts in CAPTION_STUDY.values()]
        size = " x ".join(map(str, question.size))
        print(row(question.what, question.promised, size, answers), flush=True)
    for size in ((2, 3, 28), (2, 1, 28)):
        answers = [too_small(parts, count, size) for parts in CAPTION_STUDY.values()]
        print(row("± is too small by", "1", " x ".join(map(str, size)), answers), flush=True)
    spread, before, after = closed(count)
    print(f"\n± of distance closed, 12 classes: {before:.3f} -> {after:.3f}; spread {spread:.3f}")
    for line in of_claims(count // 2):
        print(line, flush=True)
    print(f"{count} studies each, {time.time() - began:.0f} s; Python {platform.python_version()}, "
          f"NumPy {np.__version__}, SciPy {scipy.__version__}")  # fmt: skip


if __name__ == "__main__":
    main()
