"""The explorer as a reader uses it: by pointer, by keyboard, on a phone, by an address."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lycoris_bench.analysis.pipeline import Analysis, analyze_tables
from tests.support.browser import Opened, becomes, chromium, harmless, opened

HOSTILE = '=<img src=x onerror="globalThis.hacked=1">\'&amp;😀' + "w" * 200
CATEGORY = "</script><b>toys</b>"
CHOSEN = ("lora", "loha-fast", "full-attn-only")


@pytest.fixture(scope="module")
def analysis(study: pd.DataFrame, factors: pd.DataFrame, undrawn: None) -> Analysis:
    """Three configurations, one of them at two strengths; a name is markup."""
    few = study[study["configuration"].isin(["base", "real", *CHOSEN])]
    few = few[few["epoch"].isna() | (few["epoch"] > 10)]
    weak = few[few["configuration"] == "loha-fast"]
    weak = weak.assign(strength=0.5, value=weak["value"] * 0.8)
    rows, known = (
        frame.replace({"configuration": {"lora": HOSTILE}, "category": {"toys": CATEGORY}})
        for frame in (pd.concat([few, weak], ignore_index=True), factors)
    )
    return analyze_tables(rows, known)


@pytest.fixture(scope="module")
def file(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report") / "index.html"
    made.write_text(analysis.html, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def seen(browser: Any, file: Path) -> Iterator[Opened]:
    with harmless(browser, file) as made:
        yield made


def drawn(page: Any) -> tuple[str, ...]:
    """What the explorer shows: plot, cards and table, wherever the focus was."""
    parts = (page.inner_html(f"#explore-{part}") for part in ("chart", "pins", "table"))
    return tuple(re.sub(r' tabindex="-?\d"', "", part) for part in parts)


def names(page: Any) -> list[str]:
    return page.locator("#explore-table tbody .pin bdi").all_text_contents()


def labels(page: Any) -> list[str]:
    points = page.locator("#explore-chart .point").all()
    return [point.get_attribute("aria-label") for point in points]


CONTROLS = {
    "y": "image similarity · train prompts",
    "y-seen": "second-eye, letterbox",
    "x": "Diversity: Vendi score · trigger prompts",
    "category": CATEGORY,
    "scale": "metric values",
    "epoch": "30",
    "strength": "0.5",
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_changes_the_view_and_the_address_keeps_it(
    seen: Opened, browser: Any, file: Path, name: str
) -> None:
    before = drawn(seen.page)
    seen.page.select_option(f"#explore-{name}", label=CONTROLS[name])
    after = drawn(seen.page)
    assert after != before
    again = opened(browser, file, "#" + seen.page.url.split("#")[1])
    assert drawn(again.page) == after
    assert again.page.evaluate(
        f"document.querySelector('#explore-{name}').selectedOptions[0].textContent"
    ).startswith(CONTROLS[name])
    again.page.close()


@pytest.mark.parametrize(
    "label", ["paths over epochs", "each seed", "algorithm loha", "preset attn-only"]
)
def test_a_box_changes_the_view_and_the_address_keeps_it(
    seen: Opened, browser: Any, file: Path, label: str
) -> None:
    before = drawn(seen.page)
    seen.page.get_by_label(label, exact=True).click()
    after = drawn(seen.page)
    assert after != before
    again = opened(browser, file, "#" + seen.page.url.split("#")[1])
    assert drawn(again.page) == after
    again.page.close()
    seen.page.get_by_label(label, exact=True).click()
    assert drawn(seen.page)[0] == before[0]


def test_columns_are_chosen_and_the_address_keeps_them(
    seen: Opened, browser: Any, file: Path
) -> None:
    def heads(page: Any) -> list[str]:
        return page.locator("#explore-table thead button").all_text_contents()

    before = heads(seen.page)
    seen.page.get_by_text("Columns", exact=True).click()
    boxes = seen.page.locator("#explore-columns input")
    assert boxes.count() > len(before) - 1
    added = seen.page.locator("#explore-columns label", has_text="centroid")
    added.locator("input").check()
    taken = seen.page.locator("#explore-columns label", has_text="Vendi")
    taken.locator("input").uncheck()
    after = heads(seen.page)
    assert len(after) == len(before) and after != before
    assert any("centroid" in head for head in after) and "Diversity" not in after
    again = opened(browser, file, "#" + seen.page.url.split("#")[1])
    assert heads(again.page) == after
    again.page.close()
    seen.page.get_by_role("button", name="Copy as CSV").click()
    assert "centroid_distance" in seen.page.evaluate("globalThis.copied").splitlines()[0]
    seen.page.get_by_role("button", name="Start over").click()
    assert heads(seen.page) == before


def test_start_over_forgets_all(seen: Opened) -> None:
    before = drawn(seen.page)
    seen.page.select_option("#explore-epoch", label="30")
    seen.page.get_by_label("algorithm loha", exact=True).click()
    seen.page.locator("#explore-table .pin").first.click()
    seen.page.get_by_role("button", name="Start over").click()
    assert drawn(seen.page) == before


def test_a_point_says_what_the_table_has(seen: Opened, analysis: Analysis) -> None:
    seen.page.locator('#explore-chart .point[aria-label*="full-attn-only"]').hover()
    text = seen.page.locator(".tip").inner_text()
    rows = analysis.aggregate[
        (analysis.aggregate["configuration"] == "full-attn-only")
        & (analysis.aggregate["epoch"] == 50)
        & (analysis.aggregate["category"] == "all categories")
        & (analysis.aggregate["metric"] == "text_similarity")
    ]
    (row,) = rows.to_dict("records")
    shown = f"score {row['score']:.2f} ± {row['score_stderr']:.2f}"
    assert shown in text and "epoch 50" in text and "rank" in text
    seen.page.mouse.move(0, 0)
    assert seen.page.locator(".tip").is_hidden()


def test_a_click_pins_and_another_unpins(seen: Opened) -> None:
    point = seen.page.locator('#explore-chart .point[aria-label*="full-attn-only"]')
    point.click()
    assert seen.page.locator(".card b bdi").all_text_contents() == ["full-attn-only"]
    assert seen.page.locator("tr.pinned").count() == 1 and "pin=full-attn-only" in seen.page.url
    point.click()
    assert seen.page.locator(".card").count() == 0


def test_all_goes_by_keyboard(seen: Opened) -> None:
    """One stop for all points; arrows go on; Enter pins, and the focus stays where it was."""
    key = "document.activeElement.getAttribute('data-key')"
    at = "document.activeElement.getBoundingClientRect()"
    seen.page.locator("#explore-copy").focus()
    for _ in range(20):
        seen.page.keyboard.press("Shift+Tab")
        if seen.page.evaluate(key):
            break
    assert seen.page.locator(".tip").is_visible()
    for _ in range(9):
        seen.page.keyboard.press("ArrowLeft")
    places = [seen.page.evaluate(f"{at}.x")]
    visited = {seen.page.evaluate(key)}
    for _ in range(3):
        seen.page.keyboard.press("ArrowRight")
        places.append(seen.page.evaluate(f"{at}.x"))
        visited.add(seen.page.evaluate(key))
    assert places == sorted(places) and len(visited) == 4
    seen.page.keyboard.press("ArrowUp")
    before = seen.page.evaluate(key)
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate(key) == before
    assert seen.page.locator(".card").count() == 1
    seen.page.keyboard.press("Escape")
    assert seen.page.locator(".tip").is_hidden()
    seen.page.keyboard.press("Space")
    assert seen.page.locator(".card").count() == 0


def test_the_front_is_what_nothing_beats(seen: Opened, analysis: Analysis) -> None:
    rows = analysis.aggregate[
        (analysis.aggregate["epoch"] == 50) & (analysis.aggregate["category"] == "all categories")
    ]
    sides = [
        rows[(rows["metric"] == metric) & (rows["prompt_type"] == kind) & (rows["encoder"] == eye)]
        for metric, kind, eye in (
            ("image_similarity", "trigger", "eye"),
            ("text_similarity", "alter", "reader"),
        )
    ]
    points = sides[0].merge(sides[1], on=["configuration", "strength"])
    pairs = [*zip(points["score_x"], points["score_y"], strict=True)]
    front = [p for p in pairs if not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in pairs)]
    assert len(labels(seen.page)) == len(pairs) == 4
    assert sum("on the Pareto front" in label for label in labels(seen.page)) == len(front)


def test_the_table_is_sorted_by_what_is_clicked(seen: Opened) -> None:
    cells = "#explore-table tbody tr:not(.outside) td:nth-of-type(2) span"
    head = seen.page.locator('#explore-table [data-sort="x"]')
    for way, falls in (("descending", True), ("ascending", False)):
        head.click()
        scores = [float(text) for text in seen.page.locator(cells).all_text_contents()]
        assert scores == sorted(scores, reverse=falls) and len(scores) == 4
        assert seen.page.locator(f'th[aria-sort="{way}"]').count() == 1
        above = seen.page.locator("#explore-table tbody th").all_text_contents()[:2]
        assert above == ["base model", "real images"]
    seen.page.locator('#explore-table [data-sort="name"]').click()
    assert names(seen.page) == sorted(names(seen.page))


def test_the_copy_is_the_table(seen: Opened, analysis: Analysis) -> None:
    seen.page.get_by_role("button", name="Copy as CSV").click()
    becomes(seen.page, "globalThis.copied")
    rows = [*csv.DictReader(io.StringIO(seen.page.evaluate("globalThis.copied")))]
    assert [row["configuration"] for row in rows[:2]] == ["base", "real"]
    assert {f"'{HOSTILE}", "loha-fast ×0.5"} <= {row["configuration"] for row in rows}
    table = analysis.aggregate[
        (analysis.aggregate["configuration"] == "full-attn-only")
        & (analysis.aggregate["epoch"] == 50)
        & (analysis.aggregate["category"] == "all categories")
        & (analysis.aggregate["metric"] == "style_loss")
    ]
    (row,) = (row for row in rows if row["configuration"] == "full-attn-only")
    value = float(row["style_loss/style/gram/letterbox value"])
    assert value == pytest.approx(float(table["value"].iloc[0]), rel=1e-3)


def test_hostile_names_are_whole_and_text(seen: Opened) -> None:
    assert HOSTILE in names(seen.page)
    seen.page.locator("#explore-table .pin", has_text="onerror").click()
    assert seen.page.locator(".card b bdi").all_text_contents() == [HOSTILE]
    assert seen.page.locator("#explore img, #explore script").count() == 0
    assert CATEGORY in seen.page.locator("#explore-category option").all_text_contents()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_scrolls_sideways(browser: Any, file: Path, scheme: str) -> None:
    made = opened(browser, file, "#explore?pin=loha-fast&paths=1", 390, color_scheme=scheme)
    assert made.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert made.page.locator(".card").count() == 1 and made.complaints == []
    made.page.close()


CONTRASTS = """() => {
  const light = (rgb) => rgb.map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    const found = numbers(getComputedStyle(element).backgroundColor);
    return found.length === 4 && found[3] === 0 ? ground(element.parentElement) : found.slice(0, 3);
  };
  return [...document.querySelectorAll("#explore *")]
    .filter((e) => !e.closest("svg") && !e.closest("[aria-hidden]") && e.getClientRects().length)
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const pair = [light(numbers(getComputedStyle(e).color).slice(0, 3)), light(ground(e))];
      return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), e.outerHTML.slice(0, 80)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_aa(browser: Any, file: Path, scheme: str) -> None:
    made = opened(browser, file, "#explore?pin=loha-fast", color_scheme=scheme)
    found = made.page.evaluate(CONTRASTS)
    assert len(found) > 40
    assert [pair for pair in found if pair[0] < 4.5] == []
    made.page.close()


def test_every_control_has_a_name(seen: Opened) -> None:
    unnamed = seen.page.evaluate(
        """() => [...document.querySelectorAll('#explore :is(select, input, button, .point)')]
        .filter((e) => !(e.labels && e.labels.length) && !e.textContent.trim()
          && !e.getAttribute('aria-label')).map((e) => e.outerHTML)"""
    )
    assert unnamed == []


def test_without_scripts_and_in_print_there_is_no_explorer(browser: Any, file: Path) -> None:
    plain = opened(browser, file, java_script_enabled=False)
    assert plain.page.locator("#explore").is_hidden()
    assert plain.page.locator("nav .to-explorer:visible").count() == 0
    printed = opened(browser, file)
    assert printed.page.locator("#explore").is_visible()
    printed.page.emulate_media(media="print")
    assert printed.page.locator("#explore").is_hidden()
    assert printed.page.locator("#scores").is_visible()
    assert (
        "two more sections, Explore and Pictures" in printed.page.locator(".in-print").inner_text()
    )
    assert plain.page.locator(".in-print").is_hidden()
    for made in (plain, printed):
        made.page.close()


def test_many_are_numbered_as_in_their_table_and_who_lacks_cells_is_not_called_worse(
    browser: Any, study: pd.DataFrame, factors: pd.DataFrame, tmp_path: Path
) -> None:
    few = study[(study["seed"].fillna(23) == 23) & (study["epoch"].fillna(50) == 50)]
    alone = (few["configuration"] == "lora") & (few["metric"] == "text_similarity")
    few = few[~alone | (few["class"] == "hero")]
    file = tmp_path / "index.html"
    file.write_text(analyze_tables(few, factors).html, encoding="utf-8")
    made = opened(browser, file)
    shown = made.page.locator("#explore-chart svg text").all_text_contents()
    assert {str(k) for k in range(1, len(factors) + 1)} <= set(shown)
    rows = made.page.locator("#explore-table tbody th small").all_text_contents()
    assert sorted(int(text) for text in rows) == [*range(1, len(factors) + 1)]
    row = made.page.locator(
        "#explore-table tbody tr", has=made.page.get_by_title("Pin lora", exact=True)
    )
    said = row.locator("td .under").all_text_contents()
    assert ["lacks cells, not ranked" in text for text in said] == [False, True, False, False]
    assert made.complaints == []
    made.page.close()


def test_an_address_that_says_nonsense_is_the_first_view(browser: Any, file: Path) -> None:
    first, odd = (
        opened(browser, file, hash)
        for hash in ("", "#explore?x=none&epoch=7&pin=<b>&without=all&strength=9&sort=__proto__")
    )
    assert drawn(odd.page) == drawn(first.page) and odd.complaints == []
    said = "The address asks for x “none”, epoch “7”, pin “<b>”, without “all”, strength “9”, which"
    assert odd.page.inner_text("#explore-legend").startswith(f"{said} this page does not have.")
    assert "The address" not in first.page.inner_text("#explore-legend")
    odd.page.select_option("#explore-scale", label="metric values")
    assert "The address" not in odd.page.inner_text("#explore-legend")
    for made in (first, odd):
        made.page.close()
