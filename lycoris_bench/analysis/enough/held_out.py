"""Do the components of one half of the classes foretell which differences the other half finds?"""

from dataclasses import dataclass

import numpy as np

from lycoris_bench.analysis.comparing.pairs import pair_estimates
from lycoris_bench.analysis.comparing.power import share_found
from lycoris_bench.analysis.comparing.two_way import two_sided
from lycoris_bench.analysis.enough.components import mean_of
from lycoris_bench.analysis.enough.stability import means

Array = np.ndarray
SPLITS, SEED, ALPHA = 60, 0, 0.05


@dataclass(frozen=True)
class HeldOut:
    """Of all pairs of configurations, each as one that was named before: the share that the
    components of one half of the classes say the other half finds, and the share that it finds; the
    means over random halves."""

    foretold: float
    found: float
    pairs: int
    classes: int  # of the half that finds


def held_out(scores: Array, true: Array | None = None) -> HeldOut | None:
    """scores: complete, [configurations, seeds, classes]. true: the configurations' true scores, if
    they are known; else their means over all classes stand for them, and the noise of the classes
    that a half shares with all is not counted twice. None: fewer than two classes in a half."""
    count, seeds, classes = scores.shape
    small = classes // 2
    if small < 2:
        return None
    random = np.random.default_rng(SEED)
    first, second = np.triu_indices(count, 1)
    known = means(scores) if true is None else true
    differences = known[first] - known[second]
    foretold, found = [], []
    for _ in range(SPLITS):
        order = random.permutation(classes)
        learned, tested = scores[..., order[small:]], scores[..., order[:small]]
        foretold.append(
            share_found(
                differences, mean_of(learned[None]).at_least_0(), seeds, small, ALPHA, count,
                of_classes=classes if true is None else None,
            )
        )  # fmt: skip
        mean, stderr, df, _ = pair_estimates(tested, first, second)
        found.append(two_sided(mean, stderr, df) <= ALPHA)
    return HeldOut(float(np.mean(foretold)), float(np.mean(found)), len(first), small)
