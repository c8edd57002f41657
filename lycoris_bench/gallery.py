"""The images that a report shows: a few concepts, every configuration, base at the top."""

import io
from collections import defaultdict
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from PIL import Image

from lycoris_bench.plan import Plan
from lycoris_bench.sets import by_set
from lycoris_bench.store import Store
from lycoris_bench.vocabulary import BASE_CHECKPOINT, Checkpoint, Concept

CONCEPTS = 4  # or one of each category, where there are more
IMAGES = 3  # of each set
SIDE = 160  # pixels: a page of 512-pixel originals would be a gigabyte


def gallery(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Per concept and prompt type a row of thumbnails (PNG bytes) for the base model and for every
    configuration at its first seed and last epoch; image k has the same prompt and noise in all."""
    shown = [BASE_CHECKPOINT, *_last(plan)]
    jobs = {checkpoint: by_set(plan.jobs(checkpoint)) for checkpoint in shown}
    concepts = _concepts(plan)
    entries = []
    for prompt_set in sorted(
        (p for p in plan.prompt_sets if p.concept in concepts),
        key=lambda p: concepts.index(p.concept),
    ):
        key = (prompt_set.concept, prompt_set.prompt_type)
        rows = []
        for checkpoint in shown:
            paths = [store.image(job.image_set, job.k) for job in jobs[checkpoint][key][:IMAGES]]
            if images := [thumbnail(path) for path in paths if path.exists()]:
                rows.append({"label": str(checkpoint), "images": images})
        asked = (job.prompt for job in jobs[BASE_CHECKPOINT][key][:IMAGES])
        entries.append({
            "concept": str(prompt_set.concept),
            "prompt_type": prompt_set.prompt_type,
            "prompt": " | ".join(dict.fromkeys(asked)),
            "rows": rows,
        })  # fmt: skip
    return entries


def thumbnail(path: Path) -> bytes:
    """The image as it is, or shrunk to SIDE pixels, without its parameters."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _last(plan: Plan) -> list[Checkpoint]:
    """Each configuration's first seed and last epoch, at every strength."""
    last: dict[tuple[str, float], Checkpoint] = {}
    for checkpoint in plan.checkpoints[1:]:
        if checkpoint.seed in (None, plan.study.settings.seeds[0]):
            last[checkpoint.configuration.name, checkpoint.strength] = checkpoint
    return list(last.values())


def _concepts(plan: Plan) -> list[Concept]:
    """Concepts of all categories in turn: the first of each, then the second of each, ..."""
    by_category: dict[str, list[Concept]] = defaultdict(list)
    for concept in dict.fromkeys(p.concept for p in plan.prompt_sets):
        by_category[concept.category].append(concept)
    turns = chain.from_iterable(zip_longest(*by_category.values()))
    return [c for c in turns if c][: max(CONCEPTS, len(by_category))]
