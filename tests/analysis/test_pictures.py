"""What the page says of the images in a run folder is what a walk over the folder finds."""

import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.report import kept_gallery, pictures
from lycoris_bench.analysis.report.gallery import EMPTY, Gallery
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    REAL_IMAGES,
    Checkpoint,
    Concept,
    Configuration,
    ImageSet,
)
from tests.analysis.conftest import row

HOSTILE = "</script><img src=x>\u2028\"'😀/..%" + "w" * 200
METRICS = ("nearest_similarity", "copy_quantile", "copy_rate")
BUNNY, BOOK = Concept("toys", "bunny"), Concept("styles", "old book", 'red, "long"')
LORA = Configuration(HOSTILE, "lora")
OTHER = Configuration("other", "lora", captions=".tags")
SOURCES = [
    BASE_CHECKPOINT,
    REAL_IMAGES,
    *(Checkpoint(LORA, 23, epoch) for epoch in (10, 50)),
    Checkpoint(LORA, 23, 50, 0.5),
    Checkpoint(OTHER, 24, 50),
]


def table(*more: dict[str, object]) -> pd.DataFrame:
    rows = [
        row(
            0.5, s.configuration.name, seed=s.seed, epoch=s.epoch, strength=s.strength,
            category=c.category, class_name=c.class_name, subclass=c.subclass, prompt_type=kind,
        )
        for s in SOURCES for c in (BUNNY, BOOK) for kind in ("train", "alter")
    ]  # fmt: skip
    return pd.DataFrame([*rows, *more]).astype({"seed": "Int64", "epoch": "Int64"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Images 0 and 2 of each set; of the first checkpoint one set with 12, and none of the other
    concept. Prompts of captions are each configuration's own."""
    store = Store(tmp_path)
    for source in SOURCES:
        if not isinstance(source, Checkpoint):
            continue
        for concept in (BUNNY, BOOK):
            for kind in ("train", "alter"):
                if source.epoch == 10 and concept == BOOK:
                    continue
                many = source.epoch == 10 and kind == "alter"
                for k in range(12) if many else (0, 2):
                    own = source.configuration.captions if kind == "train" else ""
                    said = {"prompt": f"{kind} {concept} {k}{own}", "seed": 1000 + k}
                    path = store.image(ImageSet(source, concept, kind), k)
                    store.put_image(path, np.zeros((8, 8, 3), np.uint8), said)
    return store


def series(frame: pd.DataFrame) -> pd.DataFrame:
    weak = frame["configuration"] + " ×0.5"
    return frame.assign(series=weak.where(frame["strength"] == 0.5, frame["configuration"]))


def test_every_address_is_a_file_and_every_file_has_one(store: Store) -> None:
    made = pictures.found(store, SOURCES, table())
    names = [HOSTILE, "other"]
    held = json.loads(json.dumps(pictures.data(made, EMPTY, series(table()), names)))
    said, files = [], {}
    for one in held["rows"]:
        for place, pattern in enumerate(held["shelves"][one["there"]]):
            for k in held["patterns"][pattern]:
                own = held["sets"][place]
                path = store.root / "images" / unquote(one["path"]) / unquote(own["path"])
                said.append(path / f"{k:05d}.png")
                files[said[-1]] = (one["captions"], place, k)
    there = sorted((store.root / "images").rglob("*.png"))
    beyond = [path for path in there if int(path.stem) >= pictures.MOST]
    assert len(beyond) == 4 and sorted(said) == sorted({*there} - {*beyond})
    asked = {
        (captions, place, k): (held["prompts"][prompt], noise)
        for captions, rows in held["asked"].items()
        for place, k, prompt, noise in rows
    }
    for path, (captions, place, k) in files.items():
        kept = store.image_parameters(path)
        found = asked.get((captions, place, k)) or asked["", place, k]
        assert found == (kept["prompt"], kept["seed"])


def test_rows_are_those_of_the_explorer(store: Store) -> None:
    made = pictures.found(store, SOURCES, table())
    held = pictures.data(made, EMPTY, series(table()), [f"{HOSTILE} ×0.5", HOSTILE])
    assert held is not None
    rows = [(one["series"], one["seed"], one["epoch"]) for one in held["rows"]]
    assert rows == [(None, None, None), (1, 23, 10), (1, 23, 50), (0, 23, 50), (None, 24, 50)]
    assert held["rows"][0]["name"] == "base" and held["rows"][-1]["name"] == "other"
    assert [c["name"] for c in held["concepts"]] == [str(BUNNY), str(BOOK)]


def test_a_table_of_others_leads_nowhere_else(store: Store) -> None:
    """A prompt type is a part of paths and comes from a table that anybody may have written."""
    (store.root.parent / "images").mkdir(exist_ok=True)
    more = row(0.5, "lora", prompt_type="../../../.."), row(0.5, "lora", second="a/b/c/d")
    made = pictures.found(store, SOURCES, table(*more))
    assert {kind for _, kind, _ in made.sets} == {"train", "alter"} and len(made.sets) == 4


def test_an_older_table_without_second_concepts_is_read(store: Store) -> None:
    made = pictures.found(store, SOURCES, table().drop(columns="second"))
    mixed = table().assign(second=None)
    assert made.sets == pictures.found(store, SOURCES, mixed).sets and len(made.sets) == 4


def test_thumbnails_are_kept_and_read_again(store: Store) -> None:
    entries = [
        {"concept": "toys/bunny", "prompt_type": "alter", "prompt": "a",
         "rows": [{"label": "base", "images": [b"RIFF0", b"RIFF1"]}]}
    ]  # fmt: skip
    shown = Gallery(entries, "Shown are two.", {"toys/bunny": [b"RIFFr"]}, {"abc": b"RIFFt"})
    kept_gallery.keep(store, shown)
    assert kept_gallery.read(store) == shown
    assert len([*store.gallery.parent.glob("*.webp")]) == 4
    fewer = Gallery(entries, "", {}, {})
    kept_gallery.keep(store, fewer)
    assert len([*store.gallery.parent.glob("*.webp")]) == 2
    store.gallery.with_name(kept_gallery.file_name(b"RIFF0")).write_bytes(b"RIFFx")
    assert kept_gallery.read(store).entries[0]["rows"] == [], "image 1 is not taken for image 0"


def test_the_nearest_training_image_is_that_of_the_scores(store: Store) -> None:
    source = SOURCES[3]
    assert isinstance(source, Checkpoint)
    about = {
        "category": "toys", "class": "bunny", "subclass": "", "second": "", "prompt_type": "alter",
        "encoder": "eye", "resize": "letterbox",
    }  # fmt: skip
    of_images = ((0, "aa", 0.5, 0.0), (1, "bb", 0.9, 1.0), (2, "cc", 0.91, 1.0))
    parts = [
        {**about, "metric": metric, "image": f"{k:05d}.png", "value": value, "nearest": sha,
         "among": 4}
        for k, sha, near, copied in of_images
        for metric, value in zip(METRICS, (near, 0.5, copied), strict=True)
    ]  # fmt: skip
    store.put_frame(store.metrics(store.branch(source), "-images"), pd.DataFrame(parts))
    copying = table(row(0.5, metric="nearest_similarity", prompt_type="alter"))
    made = pictures.found(store, SOURCES, copying)
    held = pictures.data(
        made, Gallery(training={"aa": b"A", "cc": b"C"}), series(table()), [HOSTILE]
    )
    assert held is not None
    alter = [s["path"] for s in held["sets"]].index("toys/bunny/alter")
    [flat] = [one["nearest"] for one in held["rows"] if "nearest" in one]
    said = {tuple(flat[k : k + 2]): flat[k + 2 : k + 5] for k in range(0, len(flat), 5)}
    names = held["training"]
    assert {key: [names[t], s, c] for key, (t, s, c) in said.items()} == {
        (alter, 0): [kept_gallery.file_name(b"A"), 500, 0],
        (alter, 2): [kept_gallery.file_name(b"C"), 910, 1],
    }, "image 1 is not kept, and of no image a name or place of a training image is"
    assert not {"aa", "cc"} & {*json.dumps(held).split('"')}


def test_a_set_that_some_rows_say_nothing_of_is_one(study: pd.DataFrame) -> None:
    """As where tables of two versions were joined by hand: one had no column for a second."""
    rows = pd.concat([study.assign(second=""), study.assign(second=None)], ignore_index=True)
    assert pictures.sets_of(rows) == pictures.sets_of(study.assign(second=""))
