"""Many claims are tested at once: which verdicts are given, and how many of them chance gives."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lycoris_bench.analysis.claims.significance import ClaimTest
from lycoris_bench.analysis.compare import ALPHA
from lycoris_bench.analysis.comparing.many_tests import benjamini_hochberg


@dataclass(frozen=True)
class Family:
    """What became of tests that were made together.

    false: verdicts that are to be expected false, at most. exchanged, exchanged_95: verdicts that
    come out where the sides of the pairs are exchanged at random: on average, and at most in 95 %
    of draws. p_adjusted: of each test (Benjamini-Hochberg); a verdict is given up to ALPHA."""

    tests: int
    verdicts: int
    false: float
    exchanged: float
    exchanged_95: int
    p_adjusted: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """All but the p-values, which stand with their claims."""
        return {key: value for key, value in asdict(self).items() if key != "p_adjusted"}


def family(tests: Sequence[ClaimTest]) -> Family:
    """Of at most ALPHA of the verdicts given is the expected share of false ones."""
    if not tests:
        return Family(0, 0, 0.0, 0.0, 0, ())
    p = np.stack([test.p for test in tests])
    adjusted = np.apply_along_axis(benjamini_hochberg, 0, p)
    given = adjusted <= ALPHA
    by_chance = (given & np.stack([test.change for test in tests]))[:, 1:].sum(axis=0)
    count = int(given[:, 0].sum())
    return Family(
        len(tests),
        count,
        ALPHA * count,
        float(by_chance.mean()) if len(by_chance) else 0.0,
        int(np.quantile(by_chance, 0.95, method="higher")) if len(by_chance) else 0,
        tuple(adjusted[:, 0].tolist()),
    )
