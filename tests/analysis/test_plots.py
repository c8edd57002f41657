"""What can be said of a picture without looking at it."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from xml.sax.saxutils import escape, unescape

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.aggregation import by_checkpoint, by_configuration, references
from lycoris_bench.analysis.columns import main_views
from lycoris_bench.analysis.plots.beeswarm import beeswarm, swarm
from lycoris_bench.analysis.plots.canvas import figure, label, lean
from lycoris_bench.analysis.plots.curves import curves
from lycoris_bench.analysis.plots.heatmap import heatmap
from lycoris_bench.analysis.plots.labels import place, spread
from lycoris_bench.analysis.plots.scatter import PAIRS, front, scatter, some
from lycoris_bench.analysis.ranks import positions, rank_scores
from lycoris_bench.analysis.report.figures import agreement, over, scatters, shown_epochs
from tests.analysis.conftest import named


def test_the_front_equals_a_naive_search() -> None:
    rng = np.random.default_rng(0)
    points = pd.DataFrame(rng.integers(0, 9, size=(60, 2)), columns=["x", "y"])
    expected = set()
    for a in points.itertuples():
        beaten = any(
            b.x >= a.x and b.y >= a.y and (b.x, b.y) != (a.x, a.y) for b in points.itertuples()
        )
        if not beaten:
            expected.add((a.x, a.y))
    assert set(front(points).itertuples(index=False, name=None)) == expected


def test_both_ends_of_the_front_are_named_first() -> None:
    points = pd.DataFrame({"x": range(20)})
    assert some(points)["x"].tolist() == [19, 0, 4, 8, 11, 15]
    assert some(points.head(1))["x"].tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_spread_names_keep_their_order_and_distance(seed: int) -> None:
    heights = np.random.default_rng(seed).random(8).tolist()
    moved = spread(heights, 0.1)
    assert np.argsort(moved).tolist() == np.argsort(heights).tolist()
    assert np.diff(sorted(moved)).min() > 0.1 - 1e-9
    assert np.mean(moved) == pytest.approx(np.mean(heights))


def test_dots_of_a_swarm_do_not_hide_one_another() -> None:
    values = np.repeat([0.0, 1.0, 2.0], [9, 4, 1])
    offsets = swarm(values)
    assert len(set(zip(values, offsets, strict=True))) == 14
    assert abs(offsets).max() <= 0.4


def test_pictures_are_svg_and_the_same_each_time(
    study: pd.DataFrame, factors: pd.DataFrame
) -> None:
    seen = main_views(study)
    scores = rank_scores(seen)
    toys = [
        frame[frame["category"] == "toys"]
        for frame in (by_configuration(scores), by_checkpoint(scores), references(positions(seen)))
    ]
    made = [*scatters(toys[0], toys[2], factors), *over("epoch", toys[1], toys[2], factors)]
    assert len(made) == 3 * len(shown_epochs(toys[0])) + 4
    for picture in made:
        assert ET.fromstring(picture.svg).tag.endswith("svg")
        assert picture.alt
    assert next(scatters(toys[0], toys[2], factors)).svg == made[0].svg


LONG = "a" * 40 + "b" * 40
OUTLINED = (
    "$x$",
    "a_b^c",
    "<script>alert(1)</script>",
    "=1+1",
    '\\frac{1}{2} & \' x="1.2345"',
    LONG,
)
SET = ("العربية", "עברית $x$", "雪 <b>", "🙂")  # by the reader's fonts


def drawn(names: tuple[str, ...]) -> list[bytes]:
    """Each kind of plot with these names in it: of configurations, algorithms, presets, views."""
    count = len(names)
    views = [("text_similarity", "alter"), ("image_similarity", "alter")]
    rows = [
        {
            "configuration": name, "algorithm": name, "epoch": epoch, "strength": 1.0, "seed": 23,
            "metric": metric, "prompt_type": kind, "better": "higher", "score_naive_stderr": 0.01,
            "score": (k + 0.5) / count if metric[0] == "t" else 1 - (k + 0.5) / count,
            "value": k + epoch / 100,
        }
        for k, name in enumerate(names) for epoch in (10, 20) for metric, kind in views
    ]  # fmt: skip
    table = named(pd.DataFrame(rows))
    factors = named(pd.DataFrame({"configuration": names, "algorithm": names, "preset": names}))
    none = pd.DataFrame(columns=["metric", "prompt_type", "configuration", "position", "value"])
    shap = pd.DataFrame(
        [("preset", name, 0.1 * k - 0.2) for k, name in enumerate(names)],
        columns=["feature", "feature_value", "shap"],
    ).assign(
        metric="vendi",
        prompt_type="trigger",
        r2=0.5,
        r2_cv=-0.001,
        r2_cv_low=-1,
        r2_cv_high=0.2,
        base_value=0.5,
    )
    made = [
        scatter(table, none, factors, PAIRS[0]),
        curves(table, none, factors, views[1]),
        beeswarm(shap, factors),
        heatmap(pd.DataFrame(np.eye(count), index=names, columns=names), "Names"),
    ]
    return [svg for svg in made if svg is not None]


def test_names_are_drawn_as_they_are() -> None:
    for svg in drawn(OUTLINED):
        text = svg.decode()
        ET.fromstring(text)
        assert "Oblique" not in text and "<text" not in text, "outlines, and no formula's"
        comments = set(re.findall("<!-- (.*?) -->", text))  # what each outline says
        assert {escape(label(name, 18)) for name in OUTLINED} <= comments | {
            escape(label(one, 18)) for one in map(unescape, comments)
        }
    assert [label(name) == name for name in OUTLINED] == [True] * 5 + [False]


@pytest.mark.parametrize("count, all_told", [(12, True), (40, False)])
def test_many_lines_end_in_their_numbers(count: int, all_told: bool) -> None:
    names = tuple(f"c{k}" for k in range(1, count + 1))
    made = drawn(names)  # with more presets than there are colours
    (said,) = [s for svg in made if "epoch" in (s := re.findall("<!-- (.*?) -->", svg.decode()))]
    assert ("7" in said and "11" in said) == all_told  # no tick is at either
    first, last = ("1 c1", f"{count} c{count}") if all_told else ("c1", f"c{count}")
    assert {first, last} <= {*said} and "7 c7" not in said


def test_names_that_the_font_lacks_are_text_for_the_browser() -> None:
    for svg in drawn(SET):
        nodes = ET.fromstring(svg.decode()).iter()
        texts = [node.text for node in nodes if node.tag.endswith("text")]
        assert set(SET) <= set(texts)


def test_what_hides_in_a_name_is_shown() -> None:
    for svg in drawn(("a\u202eb\x1b[0m\n", "plain"))[:1]:
        ET.fromstring(svg.decode())
    assert label("a\u202eb\n") == "a\\u202eb\\n"


def test_numbers_of_an_attribute_are_cut_and_of_a_name_are_not() -> None:
    svg = '<text x="1.23456">a x="1.23456" d="M 9.8765"</text>'
    assert lean(f"<svg>{svg}") == '<svg><text x="1.23">a x="1.23456" d="M 9.8765"</text>'


def test_base_has_a_place_of_its_own_among_the_names() -> None:
    """Names are moved away from the cross and from its name."""
    with figure() as (_, axes):
        axes.set(xlim=(0, 1), ylim=(0, 1))
        written = axes.annotate("real images", (0.6, 0.5))
        names = [("base", (0.5, 0.5), "k"), ("lora", (0.5, 0.5), "k"), ("loha", (0.51, 0.5), "k")]
        assert place(axes, names, [(0.5, 0.5), (0.51, 0.5)], [written]) == ["base", "lora", "loha"]
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == 4
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_agreement_needs_two_views(study: pd.DataFrame) -> None:
    from lycoris_bench.analysis.correlation import correlations

    one = rank_scores(study[(study["metric"] == "vendi")])
    assert list(agreement(correlations(one), one)) == []
    every = rank_scores(study)
    assert len(list(agreement(correlations(every), every))) == 2
