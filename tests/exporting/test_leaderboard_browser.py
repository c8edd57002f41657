"""The leaderboard as a reader uses it: by pointer, by keyboard, whatever its names hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.exporting.leaderboard import page
from lycoris_bench.exporting.run_values import Entry, RunValues, Term, Value
from tests.support.browser import Opened, chromium, opened

HOSTILE = '=<img src=x onerror="globalThis.hacked=1">\'&amp;\u202e😀</script>' + "w" * 300
FIDELITY, LOSS = "fidelity", "preservation"
# name, algorithm, epoch, seeds, fidelity (larger is better), style loss (smaller is better)
ROWS: list[tuple[str, str, int | None, int, float | None, float]] = [
    ("dim 16", "lora", 10, 2, 0.5, 3e-5),
    (HOSTILE, "<b>loha</b>", 9, 10, -0.25, 200.0),
    ("dim 8", "full", None, 3, None, 7.0),
    ("Été", "lokr", 100, 1, 0.75, 40.0),
]


def run() -> RunValues:
    """A run folder's values, written by hand."""
    terms = [
        Term(FIDELITY, "image_similarity", "trigger", "eye", "crop", "a/b", "higher", 4, "f"),
        Term(LOSS, "style_loss", "style", "grams", "crop", "a/b", "lower", 4, "g"),
    ]
    entries: list[Entry] = []
    for name, algorithm, epoch, seeds, fidelity, loss in ROWS:
        values = {LOSS: Value(loss, None, 2)}
        if fidelity is not None:
            values[FIDELITY] = Value(fidelity, 0.01, 2)
        entries.append(Entry(name, algorithm, epoch, seeds, values))
    base = {FIDELITY: Value(0.1, None, 2)}
    return RunValues("one", "toy", "base", "photos", tuple(entries), tuple(terms), base)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("board") / "index.html"
    made.write_text(page([run()], {HOSTILE: HOSTILE}), encoding="utf-8")
    return made


@pytest.fixture
def seen(browser: Any, file: Path) -> Iterator[Opened]:
    """The page, which must not complain and must ask for nothing but itself."""
    made = opened(browser, file)
    yield made
    assert made.complaints == [] and {*made.requests} == {file.as_uri()}
    assert made.page.evaluate("globalThis.hacked") is None
    made.page.close()


def order(seen: Opened) -> list[int]:
    """Places in ROWS of the rows as they stand, by their numbers of seeds."""
    shown = seen.page.locator("#board tbody tr td:nth-child(5)").all_text_contents()
    return [[str(row[3]) for row in ROWS].index(seeds) for seeds in shown]


# heading -> the rows after a click and after another: text from A, a number from its better end
SORTED = {
    "run": ([0, 1, 2, 3], [0, 1, 2, 3]),
    "configuration": ([1, 2, 0, 3], [3, 0, 2, 1]),
    "algorithm": ([1, 2, 3, 0], [0, 3, 2, 1]),
    "epoch": ([1, 0, 3, 2], [3, 0, 1, 2]),
    "seeds": ([3, 0, 2, 1], [1, 2, 0, 3]),
    "Fidelity": ([3, 0, 1, 2], [1, 0, 3, 2]),
    "Preservation": ([0, 2, 3, 1], [1, 3, 2, 0]),
}


@pytest.mark.parametrize("heading", SORTED)
@pytest.mark.parametrize("key", ["", "Enter", "Space"])
def test_every_heading_sorts_and_turns_round(seen: Opened, heading: str, key: str) -> None:
    """What has no number comes last both ways; the head, with the base model, stays."""
    button = seen.page.get_by_role("button", name=heading, exact=True)
    head = button.locator("xpath=ancestor::th")
    better = "descending" if heading == "Fidelity" else "ascending"
    other = {"ascending": "descending", "descending": "ascending"}[better]
    for said, expected in zip((better, other), SORTED[heading], strict=True):
        if key:
            button.focus()
            seen.page.keyboard.press(key)
        else:
            button.click()
        assert order(seen) == expected
        assert head.get_attribute("aria-sort") == said
    assert seen.page.locator("#board th[aria-sort]").count() == 1
    assert seen.page.locator("#board thead .reference td:nth-child(2)").all_text_contents() == [
        "base model"
    ]


def test_the_headings_are_reached_by_keyboard_in_their_order(seen: Opened) -> None:
    seen.page.keyboard.press("Tab")  # the table, which scrolls
    names = []
    for _ in SORTED:
        seen.page.keyboard.press("Tab")
        names.append(seen.page.evaluate("document.activeElement.textContent"))
    assert names == [*SORTED]


def test_names_are_text(seen: Opened) -> None:
    names = seen.page.locator("#board tbody td:nth-child(2)").all_text_contents()
    assert names[1] == HOSTILE.replace("\u202e", "\\u202e") and names[3] == "Été"
    assert seen.page.locator("img, #board b").count() == 0
    assert HOSTILE.split("\u202e")[0] in seen.page.locator("li").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_long_name_does_not_widen_the_page(browser: Any, file: Path, width: int) -> None:
    narrow = opened(browser, file, width=width)
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= width
    narrow.page.close()


def test_without_scripts_it_is_a_table(browser: Any, file: Path) -> None:
    plain = opened(browser, file, java_script_enabled=False)
    assert order(plain) == [0, 1, 2, 3]
    plain.page.close()
