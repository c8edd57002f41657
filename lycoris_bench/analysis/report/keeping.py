"""The table of which checkpoints to keep, of those that others trained."""

from collections.abc import Mapping
from typing import Any

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.keeping.kept import SAID
from lycoris_bench.messages.numbers import number, percent


def shown(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Columns and rows, and those of base and real images below them; None where nothing of others
    was compared. A cell says its number, its error, and whether it is the best or not told from
    it."""
    if not found:
        return None
    criteria = [c for c in CRITERIA if c.key in found["best"]]
    rows = [
        {
            "name": row["checkpoint"],
            "file": row.get("file", ""),
            "front": percent(row["front"]) if "front" in row else "",
            "cells": [_cell(found, row, criterion.key) for criterion in criteria],
        }
        for row in found["checkpoints"]
    ]
    references = [
        {
            "name": name,
            "cells": [
                number(found["references"][c.key][key]) if key in found["references"][c.key] else ""
                for c in criteria
            ],
        }
        for key, name in (("base", "base model"), ("real", "real images"))
    ]
    return {
        "columns": [f"{c.heading}: {found['what'][c.key]}" for c in criteria],
        "rows": rows,
        "references": [row for row in references if any(row["cells"])],
        "front": any(row["front"] for row in rows),
        "files": any(row["file"] for row in rows),
        **{kind: found.get(kind, []) for kind in SAID},
    }


def _cell(found: Mapping[str, Any], row: Mapping[str, Any], key: str) -> dict[str, str]:
    if key not in row:
        return {"value": "", "mark": ""}
    best = found["best"][key]
    mark = (
        "best" if best[:1] == [row["checkpoint"]] else "tied" if row["checkpoint"] in best else ""
    )
    error = f" ± {number(row[key]['stderr'])}" if "stderr" in row[key] else ""
    return {"value": f"{number(row[key]['value'])}{error}", "mark": mark}
