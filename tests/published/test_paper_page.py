"""docs/paper.md: its verdicts are those that the published tables give."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.analysis.claims.table import by_chance
from lycoris_bench.analysis.claims.verdicts import HOLDS, NOT, UNCLEAR, UNTESTED, judge, said
from lycoris_bench.analysis.coded import coded
from lycoris_bench.analysis.columns import OVERALL, main_views
from lycoris_bench.analysis.comparable import comparable
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.series import split_by_strength
from lycoris_bench.messages.numbers import fixed
from lycoris_bench.study import load as studies

PAGE = Path(__file__).parent.parent.parent / "docs/paper.md"
RUNS = {
    "captions": "Caption study",
    "main-means": "Main study, categories",
    "main-classes": "Main study, classes with sub-classes",
}
Found = dict[str, Any]


def tables(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `analyze` judges claims by, without pictures and SHAP: scores and factors."""
    known = run_tables.factors(studies.load(run / "study.toml").configurations)
    metrics = pd.read_parquet(run / "metrics.parquet")
    scored = known["configuration"].isin(metrics["configuration"].unique())
    known = known[scored].reset_index(drop=True)
    rows, _ = comparable(coded(metrics), known)
    rows, known = split_by_strength(rows, known)
    return main_views(rank_scores(rows)), known


@pytest.fixture(scope="module")
def judgements(imported: Path) -> dict[str, Found]:
    return {run: judge(*tables(imported / run)) for run in RUNS}


def overall(found: Found) -> list[Found]:
    return said(found["verdicts"], OVERALL)


def cell(verdict: Found) -> str:
    if verdict["verdict"] == UNTESTED:
        return "–"
    if "tau" in verdict:
        return f"{verdict['verdict']}, {verdict['confirmed']} of {verdict['pairs']} pairs"
    return f"{verdict['verdict']} {fixed(verdict['effect'], signed=True)}"


def lines(judgements: dict[str, Found]) -> list[str]:
    """The table's rows: every claim that any of the runs can test."""
    rows = []
    for line in zip(*map(overall, judgements.values()), strict=True):
        assert len({verdict["id"] for verdict in line}) == 1
        if any(verdict["verdict"] != UNTESTED for verdict in line):
            cells = " | ".join(map(cell, line))
            rows.append(f"| {line[0]['sentence']} | {line[0]['section']} | {cells} |")
    return rows


def sentences(judgements: dict[str, Found]) -> list[str]:
    """What the page says of each table: how many verdicts, and how many chance would give."""
    counted = []
    for run, name in RUNS.items():
        found = judgements[run]
        count = Counter(verdict["verdict"] for verdict in overall(found))
        chance = " ".join(by_chance(found["overall"]))
        counted.append(
            f"**{name}**: of {found['overall']['tests']} claims that it can test {count[HOLDS]} "
            f"hold, {count[NOT]} do not, {count[UNCLEAR]} are unclear. {chance}"
        )
    return counted


def text() -> str:
    return " ".join(PAGE.read_text(encoding="utf-8").split())


def test_the_pages_verdicts_are_the_datas(judgements: dict[str, Found]) -> None:
    _, table = PAGE.read_text(encoding="utf-8").split("| claim | section |")
    written = table.split("\n\n")[0].splitlines()[2:]
    assert written == lines(judgements), "docs/paper.md should say:\n" + "\n".join(
        lines(judgements)
    )


def test_the_page_counts_them_table_by_table(judgements: dict[str, Found]) -> None:
    stale = [line for line in sentences(judgements) if line not in text()]
    assert not stale, "docs/paper.md should say:\n" + "\n".join(sentences(judgements))


def of_categories(judgements: dict[str, Found]) -> str:
    counted = []
    for run, name in RUNS.items():
        count = Counter(v["verdict"] for v in judgements[run]["verdicts"] if v["exploratory"])
        tests = judgements[run]["categories"]["tests"]
        counted.append(f"{name.lower()}: {count[HOLDS]} of {tests} hold and {count[NOT]} do not")
    return "; ".join(counted)


def test_the_page_counts_single_categories(judgements: dict[str, Found]) -> None:
    line = of_categories(judgements)
    assert line in text(), line


def test_the_page_says_what_becomes_of_table_1(judgements: dict[str, Found]) -> None:
    orders = [verdict for found in judgements.values() for verdict in overall(found)
              if "tau" in verdict]  # fmt: skip
    assert len(orders) == 9
    assert all(verdict["confirmed"] < verdict["pairs"] for verdict in orders)
    assert not any(verdict["contradicted"] for verdict in orders)
    assert "is confirmed in all its pairs, and none of its pairs is contradicted" in text()


def test_no_other_table_tests_a_claim(imported: Path) -> None:
    found = judge(*tables(imported / "main-distances"))
    assert {verdict["verdict"] for verdict in found["verdicts"]} == {UNTESTED}
