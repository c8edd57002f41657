"""The scripts of the page, what they read, and what a browser lets them do."""

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

from markupsafe import Markup

LIBRARY = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
OWN = (  # in the order in which they need each other
    "data", "address", "controls", "pointing", "chart", "labels", "cards", "table",
    "pictures", "closer", "album", "training", "matters", "agreement", "claims", "made", "page",
)  # fmt: skip


def as_json(values: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it ends the element, or a line.

    >>> as_json("</script>\\u2028")
    Markup('"\\\\u003c/script\\\\u003e\\\\u2028"')
    """
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)  # all else is ASCII
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def scripts() -> tuple[Markup, Markup]:
    """The library, and the page's own script, in a scope of its own."""
    folder = resources.files("lycoris_bench.analysis") / "templates"
    library = "\n".join((folder / name).read_text(encoding="utf-8") for name in LIBRARY)
    parts = [(folder / "explorer" / f"{name}.js").read_text(encoding="utf-8") for name in OWN]
    own = '(() => {\n"use strict";\n' + "".join(parts) + "})();"
    return Markup(f"\n{library}\n"), Markup(f"\n{own}\n")


def policy() -> str:
    """What a browser lets the page do (Content-Security-Policy): run these two scripts, show the
    styles and images inside it and the images of its run folder, and nothing else; in particular it
    may ask no network. `file:` is the page's own kind of address where it was opened by a
    double-click; some browsers do not take 'self' for it."""
    marks = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts()
    )
    return (
        f"default-src 'none'; script-src {marks}; style-src 'unsafe-inline'; "
        "img-src data: 'self' file:; "
        "base-uri 'none'; form-action 'none'"
    )
