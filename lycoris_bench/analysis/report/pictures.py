"""The pictures that a page shows from its run folder: which images lie there, how they were drawn,
and their addresses, relative to the page.

Nothing but the run folder and its metric table is read, so that a run folder that was passed on
shows what came with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from lycoris_bench.analysis.columns import CONCEPT, SERIES
from lycoris_bench.analysis.copying.pairs import SIMILARITY, pairs_of
from lycoris_bench.analysis.image_numbers import with_second
from lycoris_bench.analysis.report.gallery import Gallery
from lycoris_bench.analysis.report.kept_gallery import file_name
from lycoris_bench.analysis.series import MOMENT
from lycoris_bench.analysis.series import name as series_name
from lycoris_bench.messages.printable import lines
from lycoris_bench.run.manifest import image_name
from lycoris_bench.run.store import Store
from lycoris_bench.study.prompt_types import BY_CAPTIONS, TYPES
from lycoris_bench.study.records import (
    BASE,
    BASE_CHECKPOINT,
    Checkpoint,
    Concept,
    ImageSet,
    Key,
    Source,
)

MOST = 8  # images of a set that a page names
PAIRS = 40_000  # images of which a page names the nearest training image: half a megabyte
LONGEST = 1000  # characters of a prompt


@dataclass(frozen=True)
class Nearest:
    """Image k of a set, and the training image (SHA-256 of its file) that is nearest to it."""

    set: int
    k: int
    training: str
    similarity: float
    copied: bool


@dataclass(frozen=True)
class Drawn:
    """The images of one checkpoint: for each set the numbers of those that are there."""

    source: Checkpoint
    there: tuple[tuple[int, ...], ...]
    nearest: Sequence[Nearest] = ()


@dataclass(frozen=True)
class Pictures:
    """What lies in a run folder. `asked`: for the captions that a configuration was trained with,
    and "" for all others, (set, k) -> prompt and seed of the noise."""

    store: Store
    sets: Sequence[Key] = ()
    drawn: Sequence[Drawn] = ()
    asked: dict[str, dict[tuple[int, int], tuple[str, int | None]]] = field(default_factory=dict)


def found(store: Store, sources: Iterable[Source], table: pd.DataFrame) -> Pictures:
    """The images that lie in a run folder, of the sources and sets that its metric table has."""
    sets = sets_of(with_second(table))
    with_pairs = bool((table["metric"] == SIMILARITY).any())
    drawn = []
    for source in sources:
        if isinstance(source, Checkpoint):
            there = _kept(store, source, sets)
            nearest = _nearest(store, source, sets, there) if with_pairs and any(there) else ()
            drawn.append(Drawn(source, there, nearest))
    drawn.sort(key=lambda one: not one.source.is_base)
    return Pictures(store, sets, drawn, _asked(store, sets, drawn))


def sets_of(table: pd.DataFrame) -> list[Key]:
    """Concept, prompt type and second concept of each image set, in the order of the table. A type
    that is none is no part of a path."""
    named = table[[*CONCEPT, "prompt_type"]].drop_duplicates().astype(object)
    rows = named.where(named.notna(), "").astype(str).drop_duplicates()  # absent is ""
    return [
        (Concept(category, name, sub), kind, Concept(*second.split("/")) if second else None)
        for category, name, sub, second, kind in rows.itertuples(index=False, name=None)
        if category and name and kind in TYPES and second.count("/") <= 2
    ]  # fmt: skip


def _kept(store: Store, source: Checkpoint, sets: Sequence[Key]) -> tuple[tuple[int, ...], ...]:
    """The numbers of the first images of each set."""
    if not store.manifest(source).parent.is_dir():
        return ((),) * len(sets)
    return tuple(_there(store.image_folder(ImageSet(source, *key))) for key in sets)


def _there(folder: Path) -> tuple[int, ...]:
    """The numbers of the first images in a folder."""
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return ()
    stems = (name.partition(".")[0] for name in names)
    numbers = (int(stem) for stem in stems if stem.isascii() and stem.isdigit())
    return tuple(sorted(k for k in numbers if image_name(k) in names)[:MOST])


def _asked(
    store: Store, sets: Sequence[Key], drawn: Sequence[Drawn]
) -> dict[str, dict[tuple[int, int], tuple[str, int | None]]]:
    """By what each image was drawn, as the first file of it says. Prompts that are captions differ
    where captions do."""
    asked: dict[str, dict[tuple[int, int], tuple[str, int | None]]] = {"": {}}
    for one in drawn:
        for place, (key, numbers) in enumerate(zip(sets, one.there, strict=True)):
            captions = one.source.configuration.captions if key[1] == BY_CAPTIONS else ""
            known = asked.setdefault(captions, {})
            for k in numbers:
                if (place, k) not in known:
                    said = store.image_parameters(store.image(ImageSet(one.source, *key), k))
                    seed = said.get("seed")
                    known[place, k] = (
                        str(said.get("prompt", ""))[:LONGEST],
                        seed if isinstance(seed, int) else None,
                    )
    return asked


def _nearest(
    store: Store, source: Checkpoint, sets: Sequence[Key], there: Sequence[tuple[int, ...]]
) -> list[Nearest]:
    """The nearest training image of each image that is there and of which it was computed."""
    places = {key: place for place, key in enumerate(sets) if key[2] is None}
    names = {image_name(k): k for numbers in there for k in numbers}
    rows = []
    for row in pairs_of(store, source).to_dict("records"):
        concept = Concept(row["category"], row["class"], row["subclass"])
        place, k = places.get((concept, row["prompt_type"], None)), names.get(row["image"])
        if place is not None and k is not None and k in there[place]:
            rows.append(Nearest(place, k, row["nearest"], row["similarity"], row["copied"] == 1))
    return rows


def data(
    pictures: Pictures | None, gallery: Gallery, metrics: pd.DataFrame, names: Sequence[str]
) -> dict[str, Any] | None:
    """As the page's script reads it; names: the series of the explorer; metrics: as
    `analyze_tables` has them, with series. None: nothing is known of a run folder."""
    if pictures is None:
        return None
    known = _series(metrics)
    concepts = list(dict.fromkeys(key[0] for key in pictures.sets))
    prompts: dict[str, int] = {}
    shelves: dict[tuple[int, ...], int] = {}
    patterns: dict[tuple[int, ...], int] = {(): 0}
    thumbnails: dict[str, int] = {}
    labels = {row["label"] for entry in gallery.entries for row in entry["rows"]}
    room = PAIRS
    rows = []
    for one in pictures.drawn:
        where = tuple(patterns.setdefault(numbers, len(patterns)) for numbers in one.there)
        pairs: list[int] = []
        for pair in one.nearest[:room]:
            if image := gallery.training.get(pair.training):
                at = thumbnails.setdefault(file_name(image), len(thumbnails))
                pairs += [pair.set, pair.k, at, round(pair.similarity * 1000), int(pair.copied)]
        room -= len(pairs) // 5
        label = str(one.source)
        rows.append({
            **_named(one.source, known, names),
            "path": quote(pictures.store.branch(one.source).as_posix()),
            "captions": one.source.configuration.captions,
            "there": shelves.setdefault(where, len(shelves)),
            **({"label": lines(label)} if label in labels else {}),
            **({"nearest": pairs} if pairs else {}),
        })  # fmt: skip
    return {
        "concepts": [
            {"name": lines(str(c)), "category": lines(c.category),
             "real": [file_name(image) for image in gallery.real.get(str(c), ())]}
            for c in concepts
        ],
        "sets": [
            {"concept": concepts.index(concept), "kind": kind_of(kind, second),
             "path": quote(pictures.store.name_of(image_set))}
            for concept, kind, second in pictures.sets
            for image_set in [ImageSet(BASE_CHECKPOINT, concept, kind, second)]
        ],
        "rows": rows,
        "shelves": [list(where) for where in shelves],
        "patterns": [list(numbers) for numbers in patterns],
        "asked": {
            captions: [
                [place, k, prompts.setdefault(prompt, len(prompts)), seed]
                for (place, k), (prompt, seed) in said.items()
                if not captions or said[place, k] != pictures.asked[""].get((place, k))
            ]
            for captions, said in pictures.asked.items()
        },
        "prompts": [lines(prompt) for prompt in prompts],
        "training": list(thumbnails),
    }  # fmt: skip


def kind_of(kind: str, second: Concept | None) -> str:
    """A prompt type, and the second concept of prompts that name two."""
    return lines(f"{kind} with {second}" if second else kind)


def _series(metrics: pd.DataFrame) -> dict[tuple[str, float, int | None], str]:
    """Configuration, strength and moment (of what others trained) -> series."""
    keys = [name for name in ("configuration", "strength", MOMENT) if name in metrics]
    pairs = metrics[[*keys, SERIES]].drop_duplicates().astype(object)
    return {
        (str(c), float(s), None if not moment or pd.isna(moment[0]) else int(moment[0])): str(name)
        for c, s, *moment, name in pairs.itertuples(index=False, name=None)
    }


def _named(
    source: Checkpoint, known: dict[tuple[str, float, int | None], str], names: Sequence[str]
) -> dict[str, Any]:
    """How the explorer calls a checkpoint: its series, which what is not ranked has none of, its
    seed, and its epoch, which what others trained has none of."""
    configuration, strength = source.configuration.name, source.strength
    if source.is_base:
        return {"name": BASE, "series": None, "seed": None, "epoch": None}
    moment = (configuration, strength, source.epoch)
    dated = source.epoch is not None and moment in known
    name = known.get(moment if dated else (configuration, strength, None))
    return {
        "name": lines(name or series_name(configuration, strength)),
        "series": names.index(name) if name in names else None,
        "seed": source.seed,
        "epoch": None if dated else source.epoch,
    }
