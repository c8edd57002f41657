"""What the explorer draws from says what the tables say, and may stand in a page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

import lycoris_bench.analysis
from lycoris_bench.analysis.columns import SERIES, VIEW
from lycoris_bench.analysis.pipeline import Analysis, analyze_tables
from lycoris_bench.analysis.report import scripts
from lycoris_bench.analysis.report.page import shown_categories
from lycoris_bench.messages.numbers import fixed

HOSTILE = "</script><script>alert(1)</script>\u2028'\"&😀"


@pytest.fixture(scope="module")
def analysis(study: pd.DataFrame, factors: pd.DataFrame, undrawn: None) -> Analysis:
    few = study[study["metric"].isin(["image_similarity", "text_similarity", "style_loss"])]
    few = few[few["configuration"].isin(["base", "real", *factors["configuration"][:3]])]
    return analyze_tables(few, factors)


@pytest.fixture(scope="module")
def held(analysis: Analysis) -> dict[str, Any]:
    return json.loads(in_page(analysis.html))


def in_page(html: str) -> str:
    start = html.index('id="explore-data">') + len('id="explore-data">')
    return html[start : html.index("</script>", start)]


def test_every_mean_is_in_its_place(analysis: Analysis, held: dict[str, Any]) -> None:
    """A naive walk over the table finds each number where the page's columns have it."""
    views = [tuple(view[key] for key in VIEW) for view in held["views"]]
    names = [series["name"] for series in held["series"]]
    points = held["points"]
    place = {
        (names[series], held["epochs"][epoch]): k
        for k, (series, epoch) in enumerate(zip(points[SERIES], points["epoch"], strict=True))
    }
    found = {(b["category"], b["view"]): b for b in held["blocks"]}
    assert len(found) == len(held["blocks"]) and len(analysis.aggregate) > 100
    for row in analysis.aggregate.to_dict("records"):
        view = views.index(tuple(row[key] for key in VIEW))
        block = found[held["categories"].index(row["category"]), view]
        point = place[row["configuration"], row["epoch"]]
        assert block["score"][point] / 1000 == pytest.approx(row["score"], abs=1.01e-3)
        assert f"{block['score'][point] / 1000:.2f}" == fixed(row["score"])  # as the tables say
        value = block["value"][point] * block["scale"]
        assert value == pytest.approx(row["value"], abs=1.51e-5)
        assert f"{value:.3g}" == f"{row['value']:.3g}"
        if not np.isnan(row["score_stderr"]):
            assert block["error"][point] / 1000 == pytest.approx(row["score_stderr"], abs=1.01e-3)
            assert f"{block['error'][point] / 1000:.2f}" == fixed(row["score_stderr"])


def test_single_trainings_average_to_their_configuration(held: dict[str, Any]) -> None:
    """With as many classes in each seed the mean over seeds is that over seeds and classes."""
    runs, points = held["checkpoints"], held["points"]
    for block in held["blocks"]:
        for k, mean in enumerate(block["score"]):
            same = [
                score
                for score, series, epoch in zip(
                    block["each"], runs[SERIES], runs["epoch"], strict=True
                )
                if (series, epoch) == (points[SERIES][k], points["epoch"][k])
            ]
            assert len(same) == 2 and np.mean(same) == pytest.approx(mean, abs=1.51)


def test_verdicts_are_those_of_the_findings(analysis: Analysis, held: dict[str, Any]) -> None:
    (said,) = [
        said
        for said in held["verdicts"]
        if said["category"] == 0 and held["views"][said["view"]]["metric"] == "text_similarity"
    ]
    found = analysis.findings["categories"]["all categories"]["control"]
    for row in found["ranking"]:
        place = [series["name"] for series in held["series"]].index(row["configuration"])
        assert said["verdict"][place] == row.get("verdict", "first")
        assert said["ranks"][place] == row["rank"]
    assert said["of"] == len(found["ranking"]) == 3


def test_base_and_real_stand_where_the_table_has_them(
    analysis: Analysis, held: dict[str, Any]
) -> None:
    rows = analysis.references[analysis.references["category"] == "toys"]
    category = held["categories"].index("toys")
    mine = [row for row in held["outside"] if row["category"] == category]
    assert len(mine) == len(rows) > 3
    values = sorted(float(f"{value:.9g}") for value in rows["value"])
    assert sorted(row["value"] for row in mine) == values


def test_names_cannot_end_the_script(study: pd.DataFrame, factors: pd.DataFrame) -> None:
    few = study[study["metric"].isin(["image_similarity", "text_similarity"])]
    few = few[few["configuration"].isin(["lora", "loha"])].replace(
        {"category": {"toys": HOSTILE}, "configuration": {"lora": HOSTILE}}
    )
    known = factors.replace({"configuration": {"lora": HOSTILE}})
    text = in_page(analyze_tables(few, known).html)
    assert not set("<>&\u2028") & set(text) and text.isascii()
    shown = HOSTILE.replace("\u2028", "\\u2028")  # as everywhere on the page
    held = json.loads(text)
    assert shown in held["categories"] and shown in [row["name"] for row in held["series"]]


def test_scripts_that_the_policy_allows_are_those_of_the_page(analysis: Analysis) -> None:
    for script in scripts.scripts():
        assert analysis.html.count(f"<script>{script}</script>") == 1
        assert "</script" not in script.lower() and "<!--" not in script
    assert scripts.policy().count("sha256-") == 2
    assert escape(scripts.policy()) in analysis.html


def test_the_own_script_makes_no_markup_of_data_and_asks_for_nothing() -> None:
    own = scripts.scripts()[1].replace("http://www.w3.org/2000/svg", "")
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function("):
        assert way not in own
    for way in ("fetch(", "XMLHttp", "WebSocket", "import(", "sendBeacon", "http:", "https:"):
        assert way not in own


def test_without_ranks_there_is_nothing_to_explore(
    study: pd.DataFrame, factors: pd.DataFrame
) -> None:
    outside = analyze_tables(study[study["configuration"].isin(["base", "real"])], factors)
    assert "explore" not in outside.html and "<script" not in outside.html


def test_the_library_is_shipped_with_its_licence() -> None:
    folder = Path(lycoris_bench.analysis.__file__).parent / "templates" / "vendor"
    assert {path.name for path in folder.iterdir()} == {
        "d3.min.js", "plot.umd.min.js", "LICENSE.d3", "LICENSE.plot",
    }  # fmt: skip
    for name in ("d3", "plot"):
        assert "Permission to use, copy, modify" in (folder / f"LICENSE.{name}").read_text()


def test_a_single_category_leads(held: dict[str, Any], analysis: Analysis) -> None:
    assert held["categories"] == shown_categories(analysis.findings)
    assert [c["heading"] for c in held["criteria"]] == ["Fidelity", "Control", "Preservation"]
