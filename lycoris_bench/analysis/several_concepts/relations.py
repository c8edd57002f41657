"""Who is compared with whom: configurations that are taught some concepts of a study alone, those
that are taught all of them, and what is merged of the former."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from lycoris_bench.analysis.columns import SERIES, trained
from lycoris_bench.study.records import COMBINED, Configuration

NAMED = ["category", "class", "subclass"]


@dataclass(frozen=True)
class Relations:
    """Names of configurations. apart: taught some concepts alone -> alike in all else, taught all
    of the study. merged: made of nothing but such -> the one that all its parts are alike to.
    some: taught, or made of what was taught, some concepts alone."""

    apart: Mapping[str, str] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict)
    some: frozenset[str] = frozenset()

    def ranked(
        self, metrics: pd.DataFrame, factors: pd.DataFrame
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """The rows of a metric table and of its factors that are ranked, and the other factors,
        under their own names."""
        left = self._partial(metrics)
        if not left:
            return metrics, factors, factors[:0]
        is_left = factors["configuration"].isin(left)
        unranked = factors[is_left]
        return (
            metrics[~metrics["configuration"].isin(left)].reset_index(drop=True),
            factors[~is_left].reset_index(drop=True),
            unranked.assign(**{SERIES: unranked["configuration"]}),
        )

    def _partial(self, metrics: pd.DataFrame) -> set[str]:
        """Those that lack concepts of the table as they were never asked for them, where others
        have all: means over unlike concepts are not ranked together."""
        if not self.some:
            return set()
        rows = trained(metrics)
        rows = rows[rows["category"] != ""]
        concepts = rows.groupby(NAMED, sort=False, observed=True).ngroup()
        of_each = concepts.groupby(rows["configuration"].astype(str)).nunique()
        fewer = {str(name) for name, count in of_each.items() if count < concepts.nunique()}
        left = fewer & self.some
        return left if set(map(str, of_each.index)) - left else set()


NONE = Relations()


def relations(configurations: Iterable[Configuration]) -> Relations:
    """Of the configurations of a study."""
    trained_ones = {c.name: c for c in configurations if c.algorithm != COMBINED}
    whole = {_apart_from_concepts(c): c.name for c in trained_ones.values() if not c.concepts}
    some = {name for name, c in trained_ones.items() if c.concepts}
    apart = {
        name: whole[alike]
        for name in some
        if (alike := _apart_from_concepts(trained_ones[name])) in whole
    }
    merged, of_some = {}, set()
    for combined in (c for c in configurations if c.algorithm == COMBINED):
        parts = set(combined.keywords)
        if parts <= some:
            of_some.add(combined.name)
        together = {apart.get(part) for part in parts}
        if len(together) == 1 and (name := together.pop()):
            merged[combined.name] = name
    ordered = {name: apart[name] for name in trained_ones if name in apart}
    return Relations(ordered, merged, frozenset(some | of_some))


def _apart_from_concepts(configuration: Configuration) -> Configuration:
    return replace(configuration, name="", concepts=())
