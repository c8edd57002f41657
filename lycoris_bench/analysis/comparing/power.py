"""What a study of a size can show: the smallest difference of scores that it finds."""

import numpy as np
from scipy import optimize, special

from lycoris_bench.analysis.comparing.mean_squares import Components

# Variances of paired score differences of the LyCORIS paper's caption study (8 configurations,
# 3 seeds, 28 classes), by criterion: what differences of a new study are taken to have.
CAPTION_STUDY = {
    "fidelity": Components(0.0016, 0.082, 0.057),
    "control": Components(0.0015, 0.028, 0.019),
    "diversity": Components(0.0, 0.076, 0.088),
    "preservation": Components(0.0103, 0.037, 0.071),
}


def smallest_difference(
    components: Components,
    seeds: int,
    classes: int,
    power: float = 0.8,
    alpha: float = 0.05,
    pairs: int = 1,
    configurations: int = 2,
) -> float:
    """The true difference of two configurations that a study of this size finds in `power` of all
    cases, two-sided at alpha / pairs; inf: a single seed and class; nan: unknown components.

    pairs: that are looked at. 1: a pair that was named before, by the two-way t-test (noncentral
    t); K (K - 1) / 2: any of K. configurations: whose noise is measured together (`compare`): K - 1
    times the degrees of freedom, and an error that is at least that of the pair itself. With one
    seed it is a difference between the checkpoints: training noise is in neither it nor its error.

    Were the error known, one pair at 80 % would need 2.80 stderr: image similarity .44 at 1 x 6
    (training noise counted), .18 at 3 x 28, style loss .21. Measured on two configurations, it is
    .54, .19 and .30; any pair of 26 at 3 x 28: .32 and .41. The whole rule of `compare` then finds
    78 to 84 % of them in simulation at 3 x 28; at 1 x 6, where the range test has few deals, 73 %
    of six configurations and 60 % of two."""
    if seeds * classes < 2:
        return float("inf")
    stderr, df = _error(components, seeds, classes, configurations)
    if not stderr > 0:
        return stderr
    critical = float(special.stdtrit(df, 1 - alpha / pairs / 2))

    def missing(shift: float) -> float:
        return power - 1 + float(special.nctdtr(df, shift, critical))

    high = critical + 1.0
    while missing(high) > 0:
        high *= 2
    return float(optimize.brentq(missing, 0.0, high)) * stderr


def share_found(
    differences: np.ndarray,
    components: Components,
    seeds: int,
    classes: int,
    alpha: float = 0.05,
    configurations: int = 2,
    of_classes: int | None = None,
) -> np.ndarray:
    """How likely a study of this size finds each true difference, of a pair that was named before,
    two-sided at alpha.

    of_classes: the differences are those of so many classes and the same seeds, and the study has
    some of these classes, drawn at random: what it has of their noise is in the differences."""
    stderr, df = _error(components, seeds, classes, configurations)
    spread = float(np.sqrt(components.mean_squares(seeds, classes).variance))
    if of_classes is not None:
        of_class = components.of_classes + components.residual / seeds
        spread = float(np.sqrt(of_class / classes * (1 - classes / of_classes)))
    critical, size = float(special.stdtrit(df, 1 - alpha / 2)) * stderr, np.abs(differences)
    if not spread > 0:
        return np.asarray(size > critical, dtype="float64")
    other_way = special.nctdtr(df, size / spread, -critical / spread)  # nan where below 1e-20
    missed = special.nctdtr(df, size / spread, critical / spread)
    return np.asarray(1 - missed + np.nan_to_num(other_way))


def _error(
    components: Components, seeds: int, classes: int, configurations: int
) -> tuple[float, float]:
    """The standard error by which a difference is judged, and its degrees of freedom."""
    squares = components.mean_squares(seeds, classes)
    stderr, df = float(np.sqrt(squares.variance)), float(squares.df)
    if configurations > 2 and stderr > 0:
        stderr *= np.sqrt(_at_least_its_own(df))
        df *= configurations - 1
    return stderr, df


def _at_least_its_own(df: float) -> float:
    """E max(1, Q), Q = chi² / df: how much larger a variance becomes where it is the larger of a
    pair's own, with df degrees of freedom, and a well-known mean."""
    return 1 + float(special.chdtrc(df + 2, df) - special.chdtrc(df, df))
