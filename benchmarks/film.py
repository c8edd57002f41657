"""The README's picture and animation, of a run's page.

    python -m benchmarks.film RUN/report/index.html [--out docs/images]

Needs playwright and Chromium. `report.png` is what the page begins with; `explore.webp` a few
steps of a reader: point, pin, the way over epochs, another criterion, pictures that blink."""

import argparse
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.browser import chromium, opened

WIDTH, HEIGHT = 1280, 820  # pixels of the page
SHOWN = 800  # pixels that a frame of the animation is wide
MOST = 3_000_000  # bytes of the animation
Frame = tuple[int, Image.Image]  # milliseconds that it stays


def main() -> None:
    """Writes both files, or says why not with status 1."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    with chromium() as browser:
        seen = opened(browser, given.page.resolve(), width=WIDTH)
        seen.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        time.sleep(1)
        shot(seen.page).convert("P", palette=Image.Palette.ADAPTIVE).save(
            given.out / "report.png", optimize=True
        )
        frames = list(film(seen.page))
    if seen.complaints:
        print("the page complains:", *dict.fromkeys(seen.complaints), sep="\n", file=sys.stderr)
    first, *rest = [image.resize((SHOWN, SHOWN * HEIGHT // WIDTH)) for _, image in frames]
    file = given.out / "explore.webp"
    first.save(file, save_all=True, append_images=rest, duration=[ms for ms, _ in frames],
               loop=0, quality=60, method=6)  # fmt: skip
    size = file.stat().st_size
    seconds = sum(milliseconds for milliseconds, _ in frames) / 1000
    print(f"{file}: {len(frames)} frames, {seconds:.0f} s, {size:,} bytes")
    sys.exit(size > MOST)


def film(page: Any) -> Iterator[Frame]:
    """What a reader does, frame by frame."""
    page.evaluate("document.querySelector('#explore').scrollIntoView()")
    yield 1200, shot(page)
    leads = page.locator("#explore-table tbody .pin bdi").first.text_content()
    top = page.locator(f'#explore-chart .point[aria-label^="{leads}, "]')
    page.evaluate("document.querySelector('#explore-chart').scrollIntoView()")
    yield 1000, shot(page)
    top.hover()
    yield 1800, shot(page)
    top.click()
    yield 1200, shot(page)
    page.get_by_label("paths over epochs", exact=True).check()
    page.evaluate("document.querySelector('#explore-chart').scrollIntoView()")
    page.mouse.move(0, 0)
    yield 1600, shot(page)
    page.get_by_label("paths over epochs", exact=True).uncheck()
    page.select_option("#explore-x", label=diversity(page))
    page.evaluate("document.querySelector('#explore').scrollIntoView()")
    yield 1200, shot(page)
    page.evaluate("document.querySelector('#explore-chart').scrollIntoView()")
    yield 1600, shot(page)
    page.evaluate("document.querySelector('#pictures').scrollIntoView()")
    page.locator("#explore-grid .cell").first.wait_for()
    time.sleep(1)  # pictures come as they are seen
    yield 1600, shot(page)
    page.locator("#explore-grid tbody tr").nth(2).locator(".cell").first.click()
    time.sleep(0.5)
    other = page.get_by_role("button", name="Other side")
    other.scroll_into_view_if_needed()
    for _ in range(3):
        yield 900, shot(page)
        other.click()
        time.sleep(0.2)


def diversity(page: Any) -> str:
    """How the page calls the criterion of diversity."""
    found: list[str] = page.locator("#explore-x option").all_text_contents()
    return next(name for name in found if name.startswith("Diversity"))


def shot(page: Any) -> Image.Image:
    """What is seen now."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    main()
