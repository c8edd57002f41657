"""docs/paper.md: its verdicts are those that the published tables give."""

from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.analysis.claims.verdicts import UNTESTED, judge
from lycoris_bench.analysis.columns import OVERALL, main_views
from lycoris_bench.analysis.comparable import comparable
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.series import split_by_strength
from lycoris_bench.study import load as studies

PAGE = Path(__file__).parent.parent.parent / "docs/paper.md"
RUNS = ("captions", "main-means", "main-classes")


@pytest.fixture(scope="module")
def everything(imported: Path) -> dict[str, list[dict]]:
    return {run: judged(imported / run) for run in RUNS}


def judged(run: Path) -> list[dict]:
    """What `analyze` writes as claims, without pictures and SHAP."""
    configurations = studies.load(run / "study.toml").configurations
    known = run_tables.factors(configurations)
    metrics = pd.read_parquet(run / "metrics.parquet")
    known = known[known["configuration"].isin(metrics["configuration"])].reset_index(drop=True)
    rows, _ = comparable(metrics, known)
    rows, known = split_by_strength(rows, known)
    return judge(main_views(rank_scores(rows)), known)


@pytest.fixture(scope="module")
def verdicts(everything: dict[str, list[dict]]) -> dict[str, list[dict]]:
    return {run: [one for one in found if one["category"] == OVERALL]
            for run, found in everything.items()}  # fmt: skip


def cell(one: dict) -> str:
    if one["verdict"] == UNTESTED:
        return "–"
    return f"{one['verdict']} {one['effect']:+.2f}"


def lines(verdicts: dict[str, list[dict]]) -> list[str]:
    """The table's rows: every claim that any of the runs can test."""
    made = []
    for each in zip(*verdicts.values(), strict=True):
        assert len({one["id"] for one in each}) == 1
        if any(one["verdict"] != UNTESTED for one in each):
            cells = " | ".join(cell(one) for one in each)
            made.append(f"| {each[0]['sentence']} | {each[0]['section']} | {cells} |")
    return made


def test_the_pages_verdicts_are_the_datas(verdicts: dict[str, list[dict]]) -> None:
    written = PAGE.read_text(encoding="utf-8").splitlines()
    stale = [line for line in lines(verdicts) if line not in written]
    assert not stale, "docs/paper.md should say:\n" + "\n".join(lines(verdicts))


def test_the_page_counts_them(verdicts: dict[str, list[dict]]) -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    tested = [[one for one in each if one["verdict"] != UNTESTED]
              for each in zip(*verdicts.values(), strict=True)]  # fmt: skip
    kinds = [{one["verdict"] for one in each} for each in tested if each]
    holds = sum("holds" in kind for kind in kinds)
    against = sum("does not" in kind for kind in kinds)
    unclear = sum(kind == {"unclear"} for kind in kinds)
    said = (
        f"Of {len(tested)} claims {len(kinds)} can be tested on at least one of the three tables: "
        f"{holds} hold on one or more of them, {unclear} are unclear on all, {against} are "
        "contradicted by one."
    )
    assert said in page, said


def test_the_page_counts_what_goes_against_the_paper(everything: dict[str, list[dict]]) -> None:
    against = [one["category"] for found in everything.values() for one in found
               if one["verdict"] == "does not" and one["category"] != OVERALL]  # fmt: skip
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    said = (
        f"Within single categories {len(against)} verdicts go against the paper, "
        f"{against.count('styles')} of them in styles"
    )
    assert said in page, said
