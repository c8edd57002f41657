"""What a page is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lycoris_bench.analysis.report.gallery import EMPTY, Gallery
from lycoris_bench.analysis.report.pictures import Pictures
from lycoris_bench.analysis.several_concepts.differences import Differences
from lycoris_bench.analysis.trust.judge import Trust


@dataclass(frozen=True)
class Context:
    """All that a report shows. Frames are those of the modules of the same names."""

    metrics: pd.DataFrame
    factors: pd.DataFrame
    scores: pd.DataFrame
    aggregate: pd.DataFrame
    checkpoints: pd.DataFrame
    references: pd.DataFrame
    correlation: pd.DataFrame
    findings: Mapping[str, Any]
    explained: Callable[[], pd.DataFrame]  # SHAP values, which may still be in the making
    refused: Callable[[], Sequence[Mapping[str, str]]]
    gallery: Gallery = EMPTY
    provenance: Mapping[str, Any] = field(default_factory=dict)
    costs: pd.DataFrame | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    trust: Trust | None = None
    copies: pd.DataFrame | None = None
    pairs: pd.DataFrame | None = None
    leaks: pd.DataFrame | None = None
    longer: pd.DataFrame | None = None
    differences: Differences | None = None
    pictures: Pictures | None = None  # those in the run folder
    both: pd.DataFrame | None = None  # which of two concepts images show
