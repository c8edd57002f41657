"""The images that a report shows: as many as a page can hold, chosen by a rule that it states."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, takewhile, zip_longest
from pathlib import Path
from typing import Any

from PIL import Image

from lycoris_bench.analysis.report.gallery import Gallery
from lycoris_bench.data.dataset import Dataset
from lycoris_bench.files import disk
from lycoris_bench.planning.jobs import Job
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.image_sets import by_set
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint, Concept, Key

CONCEPTS = 4  # or one of each category, where there are more
ROWS = 18  # checkpoints, the base model among them
IMAGES = 3  # of each set
SIDE = 160  # pixels of a thumbnail
LOSSLESS = 100
LARGEST = 16 * 2**10  # bytes of one
Entry = Mapping[str, Any]  # of a `Gallery`
PAGE = 3_450_000  # bytes of all: 4.6 MB as text. The first concept is shown whatever it takes


def gallery(plan: Plan, store: Store) -> Gallery:
    """Thumbnails (WebP) of the base model and of configurations at their first seed and last epoch;
    image k has the same prompt and noise in all."""
    every, shown = _last(plan), shown_checkpoints(plan)
    jobs = {checkpoint: by_set(plan.jobs(checkpoint)) for checkpoint in shown}
    small = cache(thumbnail)

    def entries_of(concept: Concept, count: int) -> list[Entry]:
        asked = [prompt_set for prompt_set in plan.prompt_sets if prompt_set.concept == concept]
        keys = {p.prompt_type: p.key for p in reversed(asked)}  # of several pairs the first
        return [_entry(store, jobs, key, small, count) for key in reversed(keys.values())]

    entries, concepts, count = that_fit(shown_concepts(plan), entries_of)
    seen = {row["label"] for entry in entries for row in entry["rows"]} - {str(BASE_CHECKPOINT)}
    left_out = _left_out(plan, len(every), len(seen), len(concepts), count) if entries else ""
    real = real_images(plan.heldout or plan.data, (p.concept for p in plan.prompt_sets))
    return Gallery(entries, left_out, real)


def that_fit(
    concepts: Iterable[Concept], entries_of: Callable[[Concept, int], Iterable[Entry]]
) -> tuple[list[Entry], list[Concept], int]:
    """The entries of a page, the concepts that they are of, and the images of each set: concepts
    while the page has room for one image of each of their sets, then as many images as fit.

    entries_of: those of a concept with so many images of each set."""
    room, there = PAGE, dict[Concept, list[Entry]]()
    for concept in concepts:
        made = [entry for entry in entries_of(concept, 1) if entry["rows"]]
        room -= sum(
            len(image) for entry in made for row in entry["rows"] for image in row["images"]
        )
        if room < 0 and there:
            break
        there[concept] = made
    taken = PAGE - room
    count = min(IMAGES, PAGE // taken) if taken else 1
    if count > 1:
        there = {c: [e for e in entries_of(c, count) if e["rows"]] for c in there}
    return [entry for made in there.values() for entry in made], list(there), max(count, 1)


def shown_checkpoints(plan: Plan) -> list[Checkpoint]:
    """The checkpoints of which a report shows images."""
    return [BASE_CHECKPOINT, *_chosen(_last(plan), ROWS - 1)]


def _entry(
    store: Store,
    jobs: dict[Checkpoint, dict[Key, list[Job]]],
    key: Key,
    small: Callable[[Path], bytes | None],
    count: int,
) -> Entry:
    """What the page shows of one concept and prompt type: so many images, made `small`."""
    rows = []
    for checkpoint, sets in jobs.items():
        paths = (store.image(job.image_set, job.k) for job in sets.get(key, [])[:count])
        if images := as_far_as(map(small, paths)):
            rows.append({"label": str(checkpoint), "images": images})
    asked = (job.prompt for job in jobs[BASE_CHECKPOINT][key][:count])
    return {
        "concept": str(key[0]),
        "prompt_type": f"{key[1]} with {key[2]}" if key[2] else key[1],
        "prompt": " | ".join(dict.fromkeys(asked)),
        "rows": rows,
    }


def as_far_as(images: Iterable[bytes | None]) -> list[bytes]:
    """The images before the first that is missing, so that the place of each says which it is."""
    return [image for image in takewhile(bool, images) if image]


def real_images(data: Dataset, concepts: Iterable[Concept]) -> dict[str, list[bytes]]:
    """Thumbnails of the first images of each concept in a dataset that has any."""
    shown: dict[str, list[bytes]] = {}
    for concept in dict.fromkeys(concepts):
        places = [example.path for example in data.of(concept)[:IMAGES]]
        if images := [image for path in places if (image := thumbnail(path))]:
            shown[str(concept)] = images
    return shown


def thumbnail(path: Path) -> bytes | None:
    """The image as WebP of at most SIDE pixels and LARGEST bytes, without its parameters: lossless
    where it is that small. None: it is missing or cannot be read."""
    if disk.kind_of(path):
        return None
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
    whole = max(small.size) <= SIDE
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    made = b""
    for quality in (*[LOSSLESS] * whole, 80, 60, 40, 20, 0):
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", lossless=quality == LOSSLESS, quality=quality)
        made = buffer.getvalue()
        if len(made) <= LARGEST:
            break
    return made


def _last(plan: Plan) -> list[Checkpoint]:
    """Each configuration's first seed and last epoch, at every strength."""
    last: dict[tuple[str, float], Checkpoint] = {}
    for checkpoint in plan.checkpoints[1:]:
        if checkpoint.seed in (None, plan.study.settings.seeds[0]):
            last[checkpoint.configuration.name, checkpoint.strength] = checkpoint
    return list(last.values())


def _chosen(checkpoints: Sequence[Checkpoint], count: int) -> list[Checkpoint]:
    """So many, in the study's order: each algorithm's first configuration, then those of its lowest
    and highest rate and of its largest capacity, then the others."""
    plain = [c for c in checkpoints if c.strength == 1] or list(checkpoints)
    by_algorithm: dict[str, list[Checkpoint]] = defaultdict(list)
    for checkpoint in plain:
        by_algorithm[checkpoint.configuration.algorithm].append(checkpoint)
    groups = by_algorithm.values()
    wanted = [
        *(group[0] for group in groups),
        *(min(group, key=lambda c: c.configuration.lr) for group in groups),
        *(max(group, key=lambda c: c.configuration.lr) for group in groups),
        *(max(group, key=lambda c: c.configuration.capacity or 0) for group in groups),
        *checkpoints,
    ]
    chosen = set(list(dict.fromkeys(wanted))[:count])
    return [checkpoint for checkpoint in checkpoints if checkpoint in chosen]


def shown_concepts(plan: Plan) -> list[Concept]:
    """The concepts that a page may show, of all categories in turn: the first of each, then the
    second of each, ..."""
    by_category: dict[str, list[Concept]] = defaultdict(list)
    for concept in dict.fromkeys(p.concept for p in plan.prompt_sets):
        by_category[concept.category].append(concept)
    turns: Iterable[Concept | None] = chain.from_iterable(zip_longest(*by_category.values()))
    return [c for c in turns if c][: max(CONCEPTS, len(by_category))]


def of_each_set(images: int) -> str:
    """How many images of a set the page shows, in words."""
    return "one image of each set" if images == 1 else f"at most {images} images of each set"


def _left_out(plan: Plan, rows: int, shown: int, concepts: int, images: int) -> str:
    """What is not shown, by which rule, and where it lies."""
    settings = plan.study.settings
    there = len({p.concept for p in plan.prompt_sets})
    parts = []
    if shown < rows:
        parts.append(
            f"{shown} of {rows} configurations and strengths (each algorithm's first, those of its "
            "lowest and highest rate and largest capacity, then the others in the study's order)"
        )
    if concepts < there:
        parts.append(f"{concepts} of {there} concepts (the first of each category in turn)")
    if len(settings.seeds) > 1:
        parts.append(f"the first of {len(settings.seeds)} seeds")
    if len(settings.epochs) > 1:
        parts.append(f"the last of {len(settings.epochs)} epochs")
    parts.append(of_each_set(images))
    return f"Shown are {', '.join(parts)}. What is kept of all images lies under images."
