"""The images of a report on images that exist already."""

from collections.abc import Sequence
from typing import Any

from lycoris_bench.analysis.report.gallery import Gallery
from lycoris_bench.analysis.report.image_choice import (
    CONCEPTS,
    IMAGES,
    PAGE,
    ROWS,
    as_far_as,
    real_images,
    thumbnail,
)
from lycoris_bench.samples.sets import Cell, SamplesPlan
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint


def gallery(plan: SamplesPlan) -> Gallery:
    """Thumbnails of the base model and of the columns, image k of each being of the same prompt;
    concepts are added while the page has room."""
    drawn = [column for column in plan.columns if not column.is_base]
    shown = spread(drawn, ROWS - 1)
    if BASE_CHECKPOINT in plan.columns:
        shown = [BASE_CHECKPOINT, *shown]
    entries: list[dict[str, Any]] = []
    room, concepts = PAGE, list(dict.fromkeys(cell.concept for cell in plan.prompt_sets))
    there = 0
    for concept in concepts[:CONCEPTS]:
        cells = [cell for cell in plan.prompt_sets if cell.concept == concept]
        made = [entry for cell in cells if (entry := _entry(plan, cell, shown))["rows"]]
        room -= sum(len(i) for entry in made for row in entry["rows"] for i in row["images"])
        if room < 0:
            break
        entries += made
        there += 1
    parts = [f"at most {IMAGES} images of each set"]
    if there < len(concepts):
        parts.insert(0, f"{there} of {len(concepts)} concepts")
    if len(drawn) > ROWS - 1:
        parts.insert(0, f"{ROWS - 1} of {len(drawn)} columns, at even distances")
    noise = "" if plan.by_seed else " That they have the same noise is not known."
    left_out = f"Shown are {', '.join(parts)}.{noise}" if entries else ""
    return Gallery(entries, left_out, real_images(plan.data, concepts))


def spread(columns: Sequence[Checkpoint], most: int) -> list[Checkpoint]:
    """So many of the columns, at even distances, the first and the last among them."""
    if len(columns) <= most:
        return list(columns)
    return [columns[round(k * (len(columns) - 1) / (most - 1))] for k in range(most)]


def _entry(plan: SamplesPlan, cell: Cell, shown: Sequence[Checkpoint]) -> dict[str, Any]:
    rows, prompts = [], dict[str, None]()
    for column in shown:
        own = [
            s for s in plan.columns[column]
            if (s.concept, s.prompt_type) == (cell.concept, cell.prompt_type)
        ][:IMAGES]  # fmt: skip
        if images := as_far_as(thumbnail(s.path) for s in own):
            rows.append({"label": str(column), "images": images})
            prompts |= {s.prompt: None for s in own if s.prompt}
    return {
        "concept": str(cell.concept),
        "prompt_type": cell.prompt_type,
        "prompt": " | ".join([*prompts][:IMAGES]),
        "rows": rows,
    }
