"""The whole analysis: tables in, tables and a page out. Nothing is read or written here."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lycoris_bench.analysis import (
    aggregation,
    columns,
    comparable,
    correlation,
    importance,
    ranks,
    series,
)
from lycoris_bench.analysis.claims.verdicts import judge
from lycoris_bench.analysis.coded import coded, texts
from lycoris_bench.analysis.columns import CEILING
from lycoris_bench.analysis.copying.rates import copies
from lycoris_bench.analysis.findings.faults import with_faults
from lycoris_bench.analysis.findings.findings import findings
from lycoris_bench.analysis.findings.trusting import with_trust
from lycoris_bench.analysis.leak import leaks
from lycoris_bench.analysis.longer import longer
from lycoris_bench.analysis.report import page as report
from lycoris_bench.analysis.report.context import Context
from lycoris_bench.analysis.report.gallery import EMPTY, Gallery
from lycoris_bench.analysis.report.pictures import Pictures
from lycoris_bench.analysis.several_concepts import pairs as together
from lycoris_bench.analysis.several_concepts.differences import Differences, differences
from lycoris_bench.analysis.several_concepts.relations import NONE, Relations
from lycoris_bench.analysis.several_concepts.sentences import sentences
from lycoris_bench.analysis.trust.claims import claims_in_truth
from lycoris_bench.analysis.trust.judge import Trust, trust
from lycoris_bench.messages.errors import BenchError


@dataclass(frozen=True)
class Analysis:
    """What `analyze_tables` makes; the stage stores each under its name."""

    scores: pd.DataFrame  # the ranked rows + score; its names are codes
    aggregate: pd.DataFrame  # per configuration, epoch, category and view
    checkpoints: pd.DataFrame  # the same per checkpoint, seeds kept apart
    references: pd.DataFrame  # base and real images per category and view
    shap: pd.DataFrame
    refusals: list[importance.Refusal]  # what was not ranked or explained, and why
    correlation: pd.DataFrame
    findings: dict[str, Any]  # plain values only, ready for JSON
    trust: Trust | None  # where the truth is known
    copies: pd.DataFrame | None  # where copy rates were computed
    leaks: pd.DataFrame | None  # where there are prompts that do not ask for the concept
    longer: pd.DataFrame | None  # where there is more than one epoch
    differences: Differences | None  # where concepts were taught alone too
    html: str


def analyze_tables(
    metrics: pd.DataFrame,
    factors: pd.DataFrame,
    gallery: Gallery = EMPTY,
    provenance: Mapping[str, Any] | None = None,
    costs: pd.DataFrame | None = None,
    failures: Mapping[str, str] | None = None,
    heldout: bool | None = None,
    expected: Iterable[str] = (),
    keeping: Mapping[str, Any] | None = None,
    pairs: pd.DataFrame | None = None,
    pictures: Pictures | None = None,
    related: Relations = NONE,
) -> Analysis:
    """Every table of the analysis and the report.

    metrics: MetricRows; factors: one row per configuration (configuration, algorithm, preset,
    lr, lr_level, capacity, importance, and what else the report should show); gallery: what the
    images section shows; costs: configuration, seed and any of steps, parameters, seconds, size
    and peak_memory (bytes); failures: name -> sentence; heldout: whether the real images were held
    out, or are half of the training images against the other half; expected: configurations that
    were to be compared, those without factors too, to name the ones that have no score; keeping:
    which checkpoints to keep, of those that others trained, whose sentences then lead the findings;
    pairs: images and the training images nearest to them, as `copying/pair_images.py` has them;
    pictures: the images of its run folder, which the page shows while it lies there;
    related: which configurations were taught some concepts alone, and are not ranked with others.
    ValueError: rows that cannot be compared, or configurations without factors."""
    metrics = coded(columns.check(coded(metrics)))
    check_factors(metrics, factors)
    metrics, aside = comparable.comparable(metrics, factors)
    several, both = differences(metrics, related), together.pairs(metrics)
    metrics, factors, unranked = related.ranked(metrics, factors)
    expected = [name for name in expected if name not in set(unranked["configuration"])]
    metrics, factors = series.split_by_strength(metrics, factors)
    scores = ranks.rank_scores(metrics)
    checkpoints = aggregation.by_checkpoint(scores)
    named = [*factors["configuration"], *expected]
    with ThreadPoolExecutor(1) as behind:  # models are fitted while pictures are drawn
        explaining = behind.submit(importance.explain, checkpoints, factors)
        true, trusted = claims_in_truth(scores, factors), trust(scores)
        in_truth = {"claims_in_truth": true} if true else {}
        tables: dict[str, Any] = {
            "scores": scores,
            "aggregate": aggregation.by_configuration(scores),
            "checkpoints": checkpoints,
            "references": aggregation.references(ranks.positions(metrics)),
            "correlation": correlation.correlations(scores),
            "trust": trusted,
            "copies": (copied := copies(metrics)),
            "leaks": (leaked := leaks(metrics)),
            "longer": longer(scores),
            "differences": several,
            "findings": {
                **with_faults(
                    with_trust(_found(metrics, heldout, named, keeping, several), trusted),
                    copied,
                    leaked,
                    CEILING[heldout][0],
                ),
                "claims": judge(columns.main_views(scores), factors),
                **in_truth,
            },
        }
        page = report.render(
            Context(
                metrics,
                pd.concat([factors, unranked], ignore_index=True) if len(unranked) else factors,
                both=both,
                explained=lambda: explaining.result()[0],
                refused=lambda: [*aside, *explaining.result()[1]],
                gallery=gallery,
                provenance=provenance or {},
                costs=costs,
                failures=failures or {},
                pairs=pairs,
                pictures=pictures,
                **tables,
            )
        )
        shap, refusals = explaining.result()
    moments = series.moments_of(metrics)
    del metrics, scores  # codes and texts of a large table need not be there at once
    tables |= {"shap": shap, "refusals": [*aside, *refusals]}
    for key, table in tables.items():
        if isinstance(table, pd.DataFrame):
            named = series.restore_names(table, moments)
            tables[key] = named if key == "scores" else texts(named)
    return Analysis(**tables, html=page)


def _found(
    metrics: pd.DataFrame,
    heldout: bool | None,
    expected: Iterable[str],
    keeping: Mapping[str, Any] | None,
    several: Differences | None,
) -> dict[str, Any]:
    """The findings, with what is said of several concepts after the rest; of what others trained,
    with the sentences on which to keep in place of those on configurations, which one training
    each says nothing of."""
    found = findings(metrics, heldout, expected)
    if keeping:
        found |= {"keeping": keeping, "sentences": keeping["sentences"]}
    said = sentences(several) if several else []
    return {**found, "sentences": [*found["sentences"], *said]}


def check_factors(metrics: pd.DataFrame, factors: pd.DataFrame) -> None:
    """Every configuration of the table has one row of factors, and no more."""
    needed = ("configuration", "algorithm", "preset", "lr", "lr_level", "capacity", "importance")
    if missing := [name for name in needed if name not in factors]:
        raise BenchError(f"the factors lack the columns: {', '.join(missing)}")
    names = factors["configuration"]
    if twice := sorted(set(names[names.duplicated()])):
        raise BenchError(f"the factors have two rows for: {', '.join(twice)}")
    if unknown := sorted({*columns.trained(metrics)["configuration"].unique()} - {*names}):
        raise BenchError(f"the factors have no row for: {', '.join(unknown)}")
