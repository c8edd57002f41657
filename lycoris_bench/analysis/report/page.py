"""One file that opens without a server or a network: what was compared, and what came out."""

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from lycoris_bench.analysis.claims.table import shown as shown_claims
from lycoris_bench.analysis.columns import (
    CRITERIA,
    OVERALL,
    first_views,
    ordered,
    seen_as,
    trained,
)
from lycoris_bench.analysis.compare import MARGIN
from lycoris_bench.analysis.plots.canvas import colours
from lycoris_bench.analysis.plots.scatter import PAIRS
from lycoris_bench.analysis.report import (
    explorer,
    faults,
    figures,
    keeping,
    longer,
    scripts,
    several,
    tables,
    trusted,
)
from lycoris_bench.analysis.report.context import Context
from lycoris_bench.analysis.report.gallery import by_concept
from lycoris_bench.analysis.series import over_training, shown_moments
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import fixed, number, plural
from lycoris_bench.messages.printable import lines

# What ends an address, or is left out of it, or would be read as markup around it.
IN_ADDRESS = {ord(character): f"%{ord(character):02X}" for character in "%#&\t\n\r"}


def render(context: Context) -> str:
    """The page as HTML text: styles, pictures and images are inside; every name is escaped."""
    names = ordered(context.metrics["study"])
    template = environment().get_template("report.html.j2")
    shown = shown_categories(context.findings)
    views = first_views(trained(context.metrics))
    seen = [
        seen_as(views, rows)
        for rows in (context.aggregate, context.checkpoints, context.references)
    ]
    categories = [_category(context, name, *seen) for name in shown]
    agreement = list(figures.agreement(context.correlation, context.scores))
    shap = context.explained()  # last: by now it is likely there
    for category in categories:
        part = shap[shap["category"] == category["name"]]
        category["swarms"] = list(figures.swarms(part, context.factors))
    return template.render(
        study=", ".join(names) or "empty study",
        explored=_explored(context, shap, shown),
        findings=context.findings,
        claims=shown_claims(context.findings["claims"], context.findings.get("claims_in_truth")),
        keeping=keeping.shown(context.findings.get("keeping")),
        criteria=CRITERIA,
        margin=MARGIN,
        ink=colours(ordered(context.factors["algorithm"])),
        signs=tables.signs(context.factors),
        compared=tables.compared(context.factors, context.costs, context.metrics),
        counts=tables.counts(context.metrics, context.factors),
        categories=categories,
        beside=set(context.references["configuration"]),
        refusals=ordered(refusal["sentence"] for refusal in context.refused()),
        longer=longer.shown(context.longer, shown),
        several=several.shown(context.differences, context.both, context.metrics),
        trust=trusted.shown(context.trust, shown) if context.trust else None,
        trusted=list(trusted.figures(context.trust, shown[0])) if context.trust else [],
        copying=faults.copying(context.copies, context.pairs),
        leak=faults.leak(context.leaks, context.gallery.entries),
        agreement=agreement,
        gallery=by_concept(context.gallery.entries, context.gallery.real),
        left_out=context.gallery.left_out,
        failures=context.failures,
        provenance=[*tables.drawn(context.metrics), *tables.flat(context.provenance)],
        fingerprints=tables.fingerprints(context.metrics),
    )


def _explored(context: Context, shap: pd.DataFrame, shown: list[str]) -> dict[str, Any] | None:
    """What the template of the explorer needs; None where nothing was ranked."""
    held = explorer.data(context, shap, shown)
    if held is None:
        return None
    library, own = scripts.scripts()
    return {
        "data": scripts.as_json(held),
        "policy": scripts.policy(),
        "library": library,
        "own": own,
    }


@cache
def environment() -> jinja2.Environment:
    """Undefined names are errors; what comes from a study is never taken for markup, and what would
    hide in it or turn the line round is written as an escape."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("lycoris_bench.analysis"),
        autoescape=True,
        finalize=_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_uri"] = data_uri
    made.filters |= {"number": number, "fixed": fixed, "plural": plural}
    return made


def _visible(value: Any) -> Any:
    return lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def shown_categories(findings: Mapping[str, Any]) -> list[str]:
    """All of them, and the mean over all first; a single one is its own mean."""
    names = [name for name in findings["categories"] if name != OVERALL]
    return names if len(names) == 1 else [OVERALL, *names]


def _category(context: Context, name: str, *seen: pd.DataFrame) -> dict[str, Any]:
    """What the page shows of one category; seen: main views of its aggregate, its checkpoints and
    its references."""
    aggregate, checkpoints, references = (rows[rows["category"] == name] for rows in seen)
    moments = shown_moments(context.metrics, context.factors)
    found = context.findings["categories"][name]
    return {
        "name": name,
        "found": found,
        "table": tables.scores(found, context.factors),
        "scatters": list(figures.scatters(aggregate, references, context.factors)),
        "unscattered": figures.undrawn(aggregate, (axis for pair in PAIRS for axis in pair)),
        "curves": list(
            figures.over("epoch", over_training(checkpoints, moments), references, context.factors)
        ),
        "uncurved": figures.undrawn(checkpoints, ((c.metric, c.prompt_type) for c in CRITERIA)),
        "strengths": list(figures.over_strengths(checkpoints, references, context.factors)),
    }


def data_uri(data: bytes) -> Markup:
    """Bytes of an SVG, PNG, JPEG or WebP image as an address that holds the image itself."""
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp", b"<svg": "svg+xml"}
    kind = next((kind for start, kind in kinds.items() if data.startswith(start)), None)
    if kind is None:
        raise BenchError(f"an image begins with {data[:8]!r}: PNG, JPEG, WebP or SVG is needed")
    if kind == "svg+xml":  # as text: three quarters of base64, and what is a raster in it a half
        text = data.decode().translate(IN_ADDRESS)
        quote = "%22" if "'" in text else "'"  # not the one of the attribute that it stands in
        return Markup(f"data:image/{kind},{text.replace(chr(34), quote)}")
    return Markup(f"data:image/{kind};base64,{base64.b64encode(data).decode()}")
