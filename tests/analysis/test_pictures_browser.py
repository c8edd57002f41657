"""The pictures as a reader uses them: by pointer, by keyboard, on a phone, by an address, and where
they are gone."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.pipeline import analyze_tables
from lycoris_bench.analysis.report import kept_gallery, pictures
from lycoris_bench.analysis.report.gallery import EMPTY, Gallery
from lycoris_bench.analysis.report.image_choice import thumbnail
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    Checkpoint,
    Concept,
    Configuration,
    ImageSet,
)
from tests.analysis.test_explorer_browser import CONTRASTS
from tests.support.browser import Opened, becomes, chromium, harmless, opened

HOSTILE = '=<img src=x onerror="globalThis.hacked=1">\'&amp;%2e😀/' + "w" * 200
NAMES = {"lora": HOSTILE, "loha-fast": "loha-fast", "full-attn-only": "whole"}
CONCEPTS = [Concept("toys", "bunny"), Concept("toys", "panda"), Concept("styles", "old book")]
KINDS = ("trigger", "alter")
PROMPT = "</script><b>a prompt</b> of %s, %s %d"
CHECKPOINTS = [
    Checkpoint(Configuration(name, name), seed, epoch)
    for name in NAMES.values() for seed in (23, 24) for epoch in (30, 50)
]  # fmt: skip


@pytest.fixture(scope="module")
def run(
    study: pd.DataFrame, factors: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run folder with two images of each set (of the base model's styles none), and its page."""
    store = Store(tmp_path_factory.mktemp("a run #1"))
    for source in [BASE_CHECKPOINT, *CHECKPOINTS]:
        for concept in CONCEPTS:
            for kind in KINDS:
                for k in range(2):
                    if source.is_base and concept.category == "styles":
                        continue
                    path = store.image(ImageSet(source, concept, kind), k)
                    said = {"prompt": PROMPT % (concept, kind, k), "seed": 1000 + k}
                    store.put_image(path, np.full((8, 12, 3), 99, np.uint8), said)
    some = thumbnail(store.image(ImageSet(CHECKPOINTS[0], CONCEPTS[0], "alter"), 0)) or b""
    rows = [{"label": "base", "images": [some]}]
    entry = {"concept": "toys/bunny", "prompt_type": "alter", "prompt": "a", "rows": rows}
    gallery = Gallery([entry], "", {"toys/bunny": [some]}, {"sha": some})
    kept_gallery.keep(store, gallery)
    few = study[study["configuration"].isin(["base", "real", *NAMES])]
    few = few[few["epoch"].isna() | (few["epoch"] > 10)].replace({"configuration": NAMES})
    few = few[few["prompt_type"].isin(KINDS) & few["metric"].str.endswith("_similarity")]
    found = pictures.found(store, [BASE_CHECKPOINT, *CHECKPOINTS], few)
    near = [pictures.Nearest(s, 0, "sha", 0.87, True) for s in range(len(found.sets))]
    drawn = [
        pictures.Drawn(one.source, one.there, () if one.source.is_base else near)
        for one in found.drawn
    ]
    made = pictures.Pictures(store, found.sets, drawn, found.asked)
    known = factors[factors["configuration"].isin(NAMES)].replace({"configuration": NAMES})
    html = analyze_tables(few, known, gallery, pictures=made).html
    store.write(store.report, html)
    return store.root


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def seen(browser: Any, run: Path) -> Iterator[Opened]:
    page = run / "report/index.html"
    with harmless(browser, page, "#pictures?category=toys", within=run) as made:
        made.page.wait_for_selector("#explore-grid .cell img")
        yield made


SHOWN = """(other) => {
  const frame = document.getElementById("explore-frame");
  if (frame.classList.contains("other") !== other) return null;
  const image = [...frame.children].find((e) => getComputedStyle(e).visibility === "visible");
  return [image.src, document.getElementById("explore-shown").innerText];
}"""


def place(run: Path, source: Checkpoint, concept: Concept, kind: str, k: int) -> str:
    return Store(run).image(ImageSet(source, concept, kind), k).as_uri()


def chosen(page: Any) -> list[str]:
    """Row and column of the picture that is looked at."""
    return json.loads(page.locator('.cell[tabindex="0"]').get_attribute("data-cell"))


def in_frame(page: Any) -> str:
    """The address of what is visible in the frame."""
    other = page.locator("#explore-frame.other").count()
    return page.locator(f"#explore-frame > .{'back' if other else 'front'}").evaluate("e => e.src")


def checkpoint(name: str, epoch: int = 50, seed: int = 23) -> Checkpoint:
    return Checkpoint(Configuration(name, name), seed, epoch)


def test_the_grid_is_each_configuration_by_prompt(seen: Opened, run: Path) -> None:
    sources = seen.page.locator("#explore-grid .cell img").evaluate_all(
        "all => all.map(e => e.src)"
    )
    rows = [BASE_CHECKPOINT, *(checkpoint(name) for name in NAMES.values())]
    wanted = [place(run, source, CONCEPTS[0], kind, 0) for source in rows for kind in KINDS]
    assert sorted(sources) == sorted(wanted)
    becomes(
        seen.page,
        "[...document.querySelectorAll('#explore-grid img')].every(e => e.naturalWidth === 12)",
    )
    heads = seen.page.locator("#explore-grid thead th").all_text_contents()
    assert sorted(heads) == sorted(f"{k}{PROMPT % (CONCEPTS[0], k, 0)}noise 1000" for k in KINDS)
    assert seen.page.locator("#explore-grid tbody th").first.text_content() == "base model"
    assert seen.page.locator("#explore-grid caption").text_content() == "Real images"
    assert HOSTILE in seen.page.locator("#explore-grid .pin bdi").all_text_contents()


def test_it_follows_the_choice_of_the_explorer(seen: Opened, run: Path) -> None:
    seen.page.select_option("#explore-epoch", label="30")
    assert in_frame(seen.page).count("epoch-030") == 1
    seen.page.locator("#explore-table .pin", has_text="loha-fast").click()
    rows = seen.page.locator("#explore-grid tbody th").all_text_contents()
    assert "loha-fast" in rows[1] and seen.page.locator("#explore-grid tr.pinned").count() == 1
    seen.page.get_by_label("algorithm full", exact=True).click()
    assert seen.page.locator("#explore-grid .pin").count() == 2
    seen.page.select_option("#explore-category", label="styles")
    assert in_frame(seen.page) == place(run, checkpoint("loha-fast", 30), CONCEPTS[2], "trigger", 0)
    assert (
        seen.page.locator("#explore-grid tr", has_text="base model").locator(".cell").count() == 0
    )


@pytest.mark.parametrize(
    ("control", "label", "of"),
    [
        ("concept", "toys/panda", ("whole", CONCEPTS[1], "alter", 0, 50, 23)),
        ("run", "24", ("whole", CONCEPTS[0], "alter", 0, 50, 24)),
        ("when", "30", ("whole", CONCEPTS[0], "alter", 0, 30, 23)),
    ],
)
def test_a_control_changes_the_pictures_and_the_address_keeps_it(
    seen: Opened, browser: Any, run: Path, control: str, label: str, of: Any
) -> None:
    name, concept, kind, k, epoch, seed = of
    seen.page.locator("#explore-grid tr", has_text="whole").locator(".cell").first.click()
    kind = chosen(seen.page)[1].split()[0]
    seen.page.select_option(f"#explore-{control}", label=label)
    wanted = place(run, checkpoint(name, epoch, seed), concept, kind, k)
    assert in_frame(seen.page) == wanted and "#pictures?" in seen.page.url
    again = opened(browser, run / "report/index.html", "#" + seen.page.url.split("#")[1])
    assert in_frame(again.page) == wanted
    again.page.close()


def test_one_kind_of_prompt_has_all_its_images(seen: Opened) -> None:
    seen.page.select_option("#explore-kind", label="alter")
    heads = seen.page.locator("#explore-grid thead th").all_text_contents()
    assert [head[-10:] for head in heads] == ["noise 1000", "noise 1001"]
    assert all(head.startswith("alter") for head in heads)


def test_all_goes_by_keyboard(seen: Opened, run: Path) -> None:
    """One stop for all pictures; arrows: prompt and configuration; pages: epoch; Enter and B."""
    page = seen.page
    page.locator("#explore-run").focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.cell')"):
            break
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    first = chosen(page)
    assert first[0] == "base"
    page.keyboard.press("ArrowRight")
    assert chosen(page)[0] == "base" and chosen(page)[1] != first[1]
    page.keyboard.press("ArrowDown")
    name, column = chosen(page)
    assert name != "base" and column != first[1]
    assert page.evaluate("document.activeElement.dataset.cell") == json.dumps(
        [name, column], separators=(",", ":"), ensure_ascii=False
    )
    kind = column.split()[0]
    page.keyboard.press("PageUp")
    old = place(run, checkpoint(name, 30), CONCEPTS[0], kind, 0)
    assert in_frame(page) == old and chosen(page) == [name, column]
    page.keyboard.press("Enter")
    assert in_frame(page) == place(run, BASE_CHECKPOINT, CONCEPTS[0], kind, 0)
    page.keyboard.press("Enter")
    page.keyboard.press("PageDown")
    assert in_frame(page) == place(run, checkpoint(name), CONCEPTS[0], kind, 0)
    page.keyboard.press("c")
    page.keyboard.press("ArrowDown")
    assert chosen(page)[0] != name
    page.keyboard.press("Enter")
    assert in_frame(page) == place(run, checkpoint(name), CONCEPTS[0], kind, 0)


def test_two_checkpoints_blink_in_one_place(seen: Opened, run: Path) -> None:
    page = seen.page
    page.locator("#explore-grid tr", has_text="loha-fast").locator(".cell").first.click()
    page.select_option("#explore-against", label="the same at epoch 30")
    kind = chosen(page)[1].split()[0]
    page.get_by_role("button", name="Blink").click()
    assert page.locator('#explore-blink[aria-pressed="true"]').count() == 1
    for other in (True, False) * 2:
        address, words = becomes(page, SHOWN, other)
        epoch = 30 if other else 50
        assert address == place(run, checkpoint("loha-fast", epoch), CONCEPTS[0], kind, 0)
        assert f"epoch {epoch}" in words
    page.get_by_role("button", name="Blink").click()
    assert page.locator("#explore-frame.other").count() == 0


def test_the_nearest_training_image_stands_beside(seen: Opened, run: Path) -> None:
    beside = seen.page.locator("#explore-beside figure", has_text="nearest training image")
    assert "cosine 0.87" in beside.inner_text() and "copy" in beside.inner_text()
    address = beside.locator("img").evaluate("e => e.src")
    assert address.startswith((run / "gallery").as_uri())


def test_a_link_to_the_section_keeps_the_choice(seen: Opened) -> None:
    seen.page.select_option("#explore-concept", label="toys/panda")
    seen.page.locator('nav a[href="#explore"]').click()
    seen.page.locator('nav a[href="#pictures"]').click()
    assert seen.page.input_value("#explore-concept") == "toys/panda"
    assert becomes(seen.page, "location.href.includes('concept=toys')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_in_contrast(browser: Any, run: Path, scheme: str) -> None:
    hash = "#pictures?category=toys&pin=whole"
    made = opened(browser, run / "report/index.html", hash, 390, color_scheme=scheme)
    assert made.page.evaluate("document.documentElement.scrollWidth") <= 390
    found = made.page.evaluate(CONTRASTS.replace("#explore *", "#pictures *"))
    assert len(found) > 20
    assert [pair for pair in found if pair[0] < 4.5] == []
    unnamed = made.page.evaluate(
        """() => [...document.querySelectorAll('#pictures :is(select, input, button)')]
        .filter((e) => !(e.labels && e.labels.length) && !e.textContent.trim()
          && !e.getAttribute('aria-label')).map((e) => e.outerHTML)"""
    )
    assert unnamed == [] and made.complaints == []
    made.page.close()


def test_without_scripts_and_in_print_the_static_pictures_remain(browser: Any, run: Path) -> None:
    plain = opened(browser, run / "report/index.html", java_script_enabled=False)
    printed = opened(browser, run / "report/index.html")
    printed.page.emulate_media(media="print")
    for made in (plain, printed):
        assert made.page.locator("#pictures").is_hidden()
        assert made.page.locator("#images img").count() == 2
        made.page.close()


def test_a_page_that_was_sent_alone_shows_its_thumbnails(
    browser: Any, run: Path, tmp_path: Path
) -> None:
    shutil.copyfile(run / "report/index.html", tmp_path / "index.html")
    hash = "#pictures?category=toys&kind=alter"
    made = opened(browser, tmp_path / "index.html", hash)
    base = made.page.locator("#explore-grid tr", has_text="base model")
    base.locator('img[src^="data:image/webp"]').wait_for()
    made.page.locator("#explore-grid", has_text="not beside this page").wait_for()
    assert "lie in the run folder" in made.page.locator("#explore-pictures-status").inner_text()
    made.page.close()


def test_rows_without_pictures_are_counted(browser: Any, run: Path) -> None:
    made = opened(browser, run / "report/index.html", "#pictures?category=styles")
    said = made.page.locator("#explore-pictures-status").inner_text()
    assert said.startswith("1 of the 4 rows has no picture (–)")
    made.page.close()


def test_a_run_without_images_says_so(
    browser: Any, study: pd.DataFrame, factors: pd.DataFrame, tmp_path: Path
) -> None:
    few = study[study["configuration"].isin(["base", *NAMES]) & (study["class"] == "bunny")]
    few = few[(few["epoch"].fillna(50) == 50) & (few["metric"] == "text_similarity")]
    file = tmp_path / "index.html"
    for number, made_of in enumerate((None, pictures.found(Store(tmp_path), CHECKPOINTS, few))):
        file.write_text(analyze_tables(few, factors, EMPTY, pictures=made_of).html)
        made = opened(browser, file)
        shown = made.page.locator("#pictures").inner_text()
        assert "No pictures came with this page" in shown and "against" not in shown, number
        assert made.complaints == []
        made.page.close()
