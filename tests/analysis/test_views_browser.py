"""Over training, what matters, agreement and the claims' pairs as a reader uses them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest

from lycoris_bench.analysis.pipeline import Analysis, analyze_tables
from tests.analysis.test_explorer_browser import CATEGORY, HOSTILE
from tests.support.browser import Opened, becomes, chromium, harmless, opened

VIEWS = {"over": "training", "effects": "factors", "agreement": "agreement"}


@pytest.fixture(scope="module")
def analysis(study: pd.DataFrame, factors: pd.DataFrame, undrawn: None) -> Analysis:
    hostile = {"configuration": {"lora": HOSTILE}, "category": {"toys": CATEGORY}}
    return analyze_tables(study.replace(hostile), factors.replace(hostile))


@pytest.fixture(scope="module")
def file(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("views") / "index.html"
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


def look(page: Any, view: str) -> Any:
    """A view, scrolled to and drawn."""
    frame = page.locator(f"#explore-{view}")
    frame.scroll_into_view_if_needed()
    becomes(page, f"document.querySelector('#explore-{view} :is(svg, table)') !== null")
    return frame


def test_a_view_is_drawn_when_it_comes_into_sight(seen: Opened) -> None:
    assert seen.page.locator(".view :is(svg, table)").count() == 0
    for view, section in VIEWS.items():
        look(seen.page, view)
        assert seen.page.locator(f"#{section} details[open]").count() == 0
        assert seen.page.locator(f"#{section} details img").count() > 0


def test_lines_are_the_values_of_the_table(seen: Opened, analysis: Analysis) -> None:
    seen.page.select_option("#explore-scale", label="metric values")
    frame = look(seen.page, "over")
    assert frame.locator(".point").count() == 2 * 11 * 3
    frame.locator('.point[aria-label^="loha-fast, epoch 30, text similarity"]').hover()
    rows = analysis.aggregate[
        (analysis.aggregate["configuration"] == "loha-fast")
        & (analysis.aggregate["epoch"] == 30)
        & (analysis.aggregate["category"] == "all categories")
        & (analysis.aggregate["metric"] == "text_similarity")
    ]
    (row,) = rows.to_dict("records")
    said = frame.locator(".tip").inner_text()
    assert f"score {row['score']:.2f} ± {row['score_stderr']:.2f}" in said
    assert f"value {row['value']:.3f}" in said and "loha-fast" in said


def test_a_pinned_line_stands_out_and_the_address_keeps_where(
    seen: Opened, browser: Any, file: Path
) -> None:
    frame = look(seen.page, "over")
    frame.locator('.point[aria-label^="loha-fast, epoch 30, image"]').click()
    pressed = "document.querySelectorAll('#explore-over .point[aria-pressed=\"true\"]').length"
    assert becomes(seen.page, pressed) == 2 * 3
    assert seen.page.evaluate("document.activeElement.dataset.key") is not None
    assert seen.page.url.split("#")[1].startswith("training?") and "pin=loha-fast" in seen.page.url
    again = opened(browser, file, "#" + seen.page.url.split("#")[1])
    becomes(again.page, "document.querySelector('#explore-over .point') !== null")
    pinned = again.page.locator('#explore-over .point[aria-pressed="true"]').count()
    assert pinned == 2 * 3
    again.page.close()


def test_arrows_go_along_the_dots(seen: Opened) -> None:
    frame = look(seen.page, "over")
    frame.locator('.point[tabindex="0"]').focus()
    first = seen.page.evaluate("document.activeElement.dataset.key")
    seen.page.keyboard.press("ArrowLeft")
    second = seen.page.evaluate("document.activeElement.dataset.key")
    assert second not in (None, first) and frame.locator(".tip").is_visible()
    seen.page.keyboard.press("Escape")
    assert not frame.locator(".tip").is_visible()
    seen.page.keyboard.press("Enter")
    becomes(seen.page, "document.activeElement.getAttribute('aria-pressed') === 'true'")


def test_effects_say_their_checkpoint_and_follow_the_choice(
    seen: Opened, analysis: Analysis
) -> None:
    frame = look(seen.page, "effects")
    headings = frame.locator("h3").all_text_contents()
    assert headings == ["image similarity · trigger prompts", "text similarity · alter prompts"]
    frame.locator('.point[aria-label^="loha-fast, epoch 30, seed 24, epoch 30"]').first.focus()
    shap = analysis.shap[
        (analysis.shap["configuration"] == "loha-fast")
        & (analysis.shap["epoch"] == 30)
        & (analysis.shap["seed"] == 24)
        & (analysis.shap["feature"] == "epoch")
        & (analysis.shap["category"] == "all categories")
        & (analysis.shap["metric"] == "image_similarity")
        & (analysis.shap["prompt_type"] == "trigger")
    ]
    effect = f"{shap['shap'].item():+.2f}".replace("-", "−")
    assert f"epoch 30: {effect} of score" in frame.locator(".tip").inner_text()
    seen.page.select_option("#explore-y", label="Diversity: Vendi score · trigger prompts")
    look(seen.page, "effects")
    becomes(
        seen.page, "document.querySelector('#explore-effects h3').textContent.includes('Vendi')"
    )
    seen.page.select_option("#explore-category", label=CATEGORY)
    look(seen.page, "effects")
    becomes(
        seen.page,
        "(name) => document.querySelector('#explore-effects').innerText.includes(name)",
        CATEGORY,
    )


def test_of_what_has_no_effects_another_is_shown(seen: Opened) -> None:
    for axis in "xy":
        seen.page.select_option(f"#explore-{axis}", label="centroid distance · trigger prompts")
    frame = look(seen.page, "effects")
    assert frame.locator("h3").count() == 1
    assert "Of neither chosen criterion effects were computed" in frame.inner_text()


def test_agreement_is_sorted_and_chooses_an_axis(seen: Opened, analysis: Analysis) -> None:
    frame = look(seen.page, "agreement")
    shown = [float(text.replace("−", "-")) for text in frame.locator("td.r").all_text_contents()]
    assert shown == sorted(shown, reverse=True)
    rows = analysis.correlation[
        (analysis.correlation["metric_a"] == "image_similarity")
        & (analysis.correlation["encoder_a"] == "eye")
        & (analysis.correlation["prompt_type_a"] == "trigger")
        & (analysis.correlation["metric_b"] == "vendi")
        & (analysis.correlation["encoder_b"] == "eye")
    ]
    row = frame.locator("tr", has_text="Vendi score · trigger prompts")
    said = row.locator("td").first.inner_text()
    assert f"{rows['r'].item():.2f}" == said.replace("−", "-")
    row.locator("button").click()
    assert "x=vendi" in seen.page.url and seen.page.url.split("#")[1].startswith("agreement?")
    assert frame.locator('[aria-pressed="true"]').inner_text() == "Vendi score · trigger prompts"
    assert seen.page.locator("#explore-x").input_value() == "Vendi score · trigger prompts"


def test_a_claim_opens_its_pairs(seen: Opened, analysis: Analysis) -> None:
    claim = seen.page.locator('#claims tr[data-claim="rate-fidelity"]')
    button = claim.get_by_role("button")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    opened_row = seen.page.locator("#claims tr.opened")
    assert "in 18 of 18 pairs of checkpoints" in opened_row.inner_text()
    assert opened_row.locator("tbody tr").count() == 18
    assert HOSTILE in opened_row.locator("bdi").all_text_contents()
    button.click()
    assert seen.page.locator("#claims tr.opened").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(browser: Any, file: Path, width: int) -> None:
    page = opened(browser, file, width=width).page
    for view in VIEWS:
        look(page, view)
    page.locator("#claims .open-pairs").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    agreeing = page.locator(".agreeing")
    assert agreeing.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    page.close()


def test_print_and_a_browser_without_scripts_have_the_figures(browser: Any, file: Path) -> None:
    page = opened(browser, file, java_script_enabled=False).page
    for view, section in VIEWS.items():
        assert not page.locator(f"#explore-{view}").is_visible()
        assert page.locator(f"#{section} img").first.is_visible()
    page.close()
    page = opened(browser, file).page
    look(page, "over")
    page.emulate_media(media="print")
    assert not page.locator("#explore-over").is_visible()
    page.close()


TOP = "Math.abs(document.getElementById('{}').getBoundingClientRect().top)"


@pytest.mark.parametrize("section", ["claims", "agreement", "provenance"])
def test_an_address_leads_to_its_section_and_keeps_the_choice(
    browser: Any, file: Path, section: str
) -> None:
    """Whatever is drawn above it on the way; the last ones can only come into sight."""
    with harmless(browser, file, f"#{section}?category={quote(CATEGORY)}") as made:
        page = made.page
        where = "2" if section == "claims" else "innerHeight"
        becomes(page, f"{TOP.format(section)} < {where} && document.readyState === 'complete'")
        assert page.locator("#explore-category option:checked").text_content() == CATEGORY
        page.locator('nav a[href="#factors"]').click()
        becomes(page, f"{TOP.format('factors')} < 2 && !!document.querySelector('.swarm')")
        assert page.url.split("#")[1].startswith("factors?category=")
        page.locator(f"#{section} .up a").click()
        becomes(page, f"{TOP.format('contents')} < innerHeight")
        assert "#factors?category=" in page.url, "the contents are no section to come back to"


def test_folded_figures_are_there_in_print(browser: Any, file: Path) -> None:
    page = opened(browser, file).page
    page.emulate_media(media="print")
    becomes(page, "[...document.querySelectorAll('.figure img')].every(e => e.naturalWidth > 0)")
    folded = page.locator("#training details:not([open]) .figure img").first
    assert folded.is_visible() and folded.bounding_box()["height"] > 50
    page.close()


def test_pairs_open_under_their_number_and_a_heading_sorts_wherever_it_is_clicked(
    seen: Opened,
) -> None:
    cells = seen.page.locator("#claims tr[data-claim]").first.locator("td")
    assert cells.nth(2).locator(".open-pairs").count() == 1
    assert "pairs" in cells.nth(2).inner_text()
    head = seen.page.locator("#explore-table thead th").nth(2)
    assert head.get_attribute("aria-sort") is None
    head.click(position={"x": 3, "y": 3})
    assert seen.page.locator("#explore-table thead th").nth(2).get_attribute("aria-sort")
    assert seen.page.locator("svg g[aria-label='x-grid'], svg g[aria-label='rule']").count() == 0


def test_the_table_says_how_its_numbers_were_made(seen: Opened) -> None:
    seen.page.get_by_text("How these numbers were made").click()
    said = seen.page.locator("#explore-made").inner_text()
    assert "through second-eye" not in said and "through eye" in said and "fingerprint" in said
    seen.page.select_option("#explore-y-seen", label="second-eye, letterbox")
    assert "through second-eye" in seen.page.locator("#explore-made").inner_text()
