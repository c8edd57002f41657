"""How large is the page of a large study, and how soon does it answer?

    python -m benchmarks.page [--views 60] [--keep FOLDER]

A made table of 234 checkpoints x 39 classes, as `benchmarks/analysis.py` has it, of so many views.
Needs playwright and Chromium. Bytes without pictures; "ready" is from the request of the file to
the first drawing; a change is the milliseconds from setting a control until the browser has painted
all that follows, the worst of several."""

import argparse
import os
import platform
import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.analysis import STUDY, table
from lycoris_bench.analysis.pipeline import analyze_tables
from lycoris_bench.analysis.report.pictures import Drawn, Pictures, sets_of
from lycoris_bench.analysis.run_tables import factors
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import Study, load
from tests.support.browser import chromium, opened

READY = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
  () => done(performance.now()))))"""
CHANGE = """([id, value]) => new Promise((done) => {
  const control = document.getElementById(id);
  const start = performance.now();
  if (control.type === 'checkbox') control.click();
  else if (value === null) control.dispatchEvent(new MouseEvent('click', {bubbles: true}));
  else { control.value = value; control.dispatchEvent(new Event('change', {bubbles: true})); }
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
SELECTS = ("y", "x", "y-seen", "x-seen", "category", "scale", "epoch", "strength",
           "concept", "kind", "when", "run")  # fmt: skip
BOXES = ("paths", "seeds")


def page(views: int) -> str:
    """The page of the made table."""
    with tempfile.TemporaryDirectory() as folder:
        study = load(STUDY, ["name=made", f"dataset={Path(folder) / 'dataset'}"])
    rows = table(study, views)
    known = factors(study.configurations)
    return analyze_tables(rows, known, pictures=kept(study, rows)).html


def kept(study: Study, rows: pd.DataFrame) -> Pictures:
    """The pictures of a run that kept the first image of each set, but that none is there."""
    sets = sets_of(rows)
    drawn = [Drawn(checkpoint, ((0,),) * len(sets)) for checkpoint in study.checkpoints]
    prompts = {
        (place, 0): (f"the {key[1]} prompt of {key[0]}, in so many words as one has", 1000)
        for place, key in enumerate(sets)
    }
    return Pictures(Store("made"), sets, drawn, {"": prompts})


def sizes(html: str) -> dict[str, int]:
    """Bytes of the parts of a page, pictures apart."""
    pictures = sum(map(len, re.findall(r'src="data:image[^"]*"', html)))
    scripts = [len(part.encode()) for part in re.findall(r"(?s)<script[^>]*>(.*?)</script>", html)]
    data, library, own = scripts
    whole = len(html.encode()) - pictures
    return {
        "all but pictures": whole,
        "the explorer's data": data,
        "the library": library,
        "the page's script": own,
        "the rest": whole - data - library - own,
        "pictures": pictures,
    }


def changes(opened_page: Any) -> dict[str, float]:
    """Control -> the worst of its changes in milliseconds, with and without paths and seeds."""
    worst: dict[str, float] = {}

    def change(name: str, value: str | None = None) -> None:
        spent = float(opened_page.evaluate(CHANGE, [f"explore-{name}", value]))
        worst[name] = max(worst.get(name, 0.0), spent)

    for _ in range(2):
        for name in SELECTS:
            values = opened_page.evaluate(
                "(id) => [...document.getElementById(id).options].map((o) => o.value)",
                f"explore-{name}",
            )
            for value in [*values[1:5], values[0]] if len(values) > 1 else []:
                change(name, value)
        for name in BOXES:
            change(name)
    change("reset")
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a folder for the page")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        file = (asked.keep or Path(made)) / "index.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html := page(asked.views), encoding="utf-8")
        for name, size in sizes(html).items():
            print(f"{name:20} {size / 1e6:7.2f} MB")
        with chromium() as browser:
            ready = []
            for _ in range(3):
                shown = opened(browser, file)
                shown.page.wait_for_selector("#explore:not([hidden]) .point")
                ready.append(float(shown.page.evaluate(READY)))
            print(f"{'ready, worst of 3':20} {max(ready) / 1000:7.2f} s")
            for name, spent in changes(shown.page).items():
                print(f"{'a change of ' + name:20} {spent:7.0f} ms")
            version = browser.version
    load_now = os.getloadavg()[0]
    print(
        f"Chromium {version}; {platform.processor()}, {os.cpu_count()} cores, load {load_now:.1f}"
    )


if __name__ == "__main__":
    main()
