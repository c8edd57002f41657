"""A page in a real browser: Chromium of this machine, driven by playwright."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips where playwright or Chromium is missing."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no Chromium here: none of {', '.join(NAMES)}")
    with driver.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page, and what it complained of and asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def opened(browser: Any, file: Path, hash: str = "", width: int = 1280, **settings: Any) -> Opened:
    """The file as by a double-click."""
    made = Opened(browser.new_page(viewport={"width": width, "height": 900}, **settings))
    made.page.set_default_timeout(20_000)
    made.page.on("console", lambda said: made.complaints.append(said.text))
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    made.page.on("request", lambda asked: made.requests.append(asked.url))
    made.page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', "
        "{value: {writeText: async (text) => { globalThis.copied = text; }}})"
    )
    made.page.goto(file.as_uri() + hash)
    return made


@contextmanager
def harmless(
    browser: Any, file: Path, hash: str = "", within: Path | None = None
) -> Iterator[Opened]:
    """The page, which must not complain, run what a name holds, or ask for anything but itself; or
    for anything outside a folder."""
    made = opened(browser, file, hash)
    yield made
    assert made.complaints == []
    asked = {url.split("#")[0] for url in made.requests if not url.startswith("data:")}
    if within is None:
        assert asked == {file.as_uri()}
    assert all(url.startswith((within or file).as_uri()) for url in asked)
    assert made.page.evaluate("globalThis.hacked") is None
    made.page.close()


def becomes(page: Any, question: str, about: Any = None) -> Any:
    """The first answer that is true. (Playwright's own `wait_for_function` asks again from within
    the page, where the page's policy forbids `eval`.)"""
    end = time.monotonic() + 20
    while not (answer := page.evaluate(question, about)):
        if time.monotonic() > end:
            raise TimeoutError(f"never true within 20 s: {question}")
        time.sleep(0.02)
    return answer
