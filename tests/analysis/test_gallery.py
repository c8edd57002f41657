"""The report's images: spread over categories, small enough for a page whatever the study."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.analysis.report import image_choice as module
from lycoris_bench.analysis.report.image_choice import (
    LARGEST,
    PAGE,
    ROWS,
    SIDE,
    gallery,
    shown_concepts,
    thumbnail,
)
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from tests.support.world import tiny

CATEGORIES = ["toys/*", "scenes/*", "styles/*", "characters/*", "media-characters/*"]
RATES = (1e-3, 5e-3, 2e-4, 4e-3, 3e-3, 2e-3, 6e-3)  # the first is the default


def wide(algorithms: int = 4, strengths: int = 1, **changes: object) -> Plan:
    """28 configurations or more, with a rate and a capacity that stand out among them."""
    names = ["lora", "loha", "lokr", "full", "dylora", "glora", "boft", "diag-oft"][:algorithms]
    tables = {name: {"lr": RATES[0], "vary": [{"lr": lr} for lr in RATES[1:]]} for name in names}
    tables["lora"]["vary"][2]["capacity"] = 2
    sampling = {"images": 3, "strength": [*(0.1 * k for k in range(1, strengths)), 1.0]}
    return plan(tiny(concepts=CATEGORIES, algorithms=tables, sampling=sampling, **changes))


@pytest.fixture
def noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image of a run is the same 512 pixels of noise, which no format makes smaller."""
    pixels = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    Store(tmp_path).put_image(tmp_path / "noise.png", pixels, {"prompt": "secret"})
    made = thumbnail(tmp_path / "noise.png")
    monkeypatch.setattr(module, "thumbnail", lambda path: made)


def size(entries) -> int:
    return sum(len(image) for e in entries for row in e["rows"] for image in row["images"])


def test_one_concept_of_each_category_comes_first(tmp_path: Path) -> None:
    asked = plan(tiny(concepts=CATEGORIES))
    concepts = [str(concept) for concept in shown_concepts(asked)]
    assert len(concepts) == 5 == len({concept.split("/")[0] for concept in concepts})
    assert len(shown_concepts(plan(tiny(concepts=["toys/*"])))) == 4
    made = gallery(asked, Store(tmp_path))
    assert (made.entries, made.left_out) == ([], ""), "nothing is there: nothing to show"


@pytest.mark.parametrize("strengths", [1, 3])
@pytest.mark.parametrize("algorithms", [4, 8])
@pytest.mark.usefixtures("noise")
def test_a_page_of_any_study_has_room(tmp_path: Path, algorithms: int, strengths: int) -> None:
    asked = wide(algorithms, strengths)
    made = gallery(asked, Store(tmp_path))
    assert 0.5 * PAGE < size(made.entries) <= PAGE, "full, and not too full"
    assert max(len(entry["rows"]) for entry in made.entries) == ROWS
    there = 7 * algorithms * strengths
    concepts = {entry["concept"] for entry in made.entries}
    assert made.left_out.startswith(
        f"Shown are {ROWS - 1} of {there} configurations and strengths (each algorithm's first, "
        "those of its lowest and highest rate and largest capacity, then the others in the study's "
        f"order), {len(concepts)} of 39 concepts (the first of each category in turn)"
    )
    assert made.left_out.endswith("What is kept of all images lies under images.")


def test_the_bound_holds_for_one_concept_of_every_prompt_type() -> None:
    assert ROWS * 5 * LARGEST <= PAGE and PAGE * 4 / 3 <= 5e6


@pytest.mark.usefixtures("noise")
def test_concepts_come_before_more_images_of_each_set(tmp_path: Path) -> None:
    many, few = gallery(wide(8), Store(tmp_path)), gallery(wide(1), Store(tmp_path))
    for made, most in ((many, 1), (few, 2)):
        counts = {len(row["images"]) for entry in made.entries for row in entry["rows"]}
        assert counts == {most} and size(made.entries) <= PAGE
    assert "one image of each set" in many.left_out and "at most 2 images" in few.left_out
    assert len({entry["concept"] for entry in many.entries}) == 5


@pytest.mark.usefixtures("noise")
def test_defaults_and_extremes_are_shown(tmp_path: Path) -> None:
    made = gallery(wide(8), Store(tmp_path))
    labels = {row["label"].split("/")[0] for row in made.entries[0]["rows"]}
    defaults = {"base", "lora", "loha", "lokr", "full", "dylora", "glora", "boft", "diag-oft"}
    assert defaults <= labels
    slowest = {f"{name}-lr0.0002" for name in defaults - {"base"}}
    assert slowest <= labels and len(labels) == ROWS
    assert "lora-lr0.006" in labels, "the highest rates come next, in the study's order"


def test_a_small_study_is_shown_whole(tmp_path: Path) -> None:
    asked = plan(tiny(concepts=["toys/bunny"], epochs=[1], sampling={"images": 2}))
    store = Store(tmp_path)
    for checkpoint in asked.checkpoints:
        for job in asked.jobs(checkpoint):
            pixels = np.full((8, 8, 3), 100, dtype=np.uint8)
            store.put_image(store.image(job.image_set, job.k), pixels, {})
    made = gallery(asked, store)
    assert made.left_out == (
        "Shown are at most 3 images of each set. What is kept of all images lies under images."
    )
    labels = [row["label"] for row in made.entries[0]["rows"]]
    assert labels == ["base", "lora/seed-23/epoch-001", "lokr/seed-23/epoch-001"]


def test_only_what_has_images_is_counted_as_shown(tmp_path: Path) -> None:
    asked = plan(tiny(concepts=["toys/bunny"], epochs=[1], sampling={"images": 2}))
    store = Store(tmp_path)
    for checkpoint in asked.checkpoints[:2]:
        for job in asked.jobs(checkpoint):
            pixels = np.full((8, 8, 3), 100, dtype=np.uint8)
            store.put_image(store.image(job.image_set, job.k), pixels, {})
    assert gallery(asked, store).left_out.startswith("Shown are 1 of 2 configurations")


def test_large_images_are_shrunk_and_small_ones_kept(tmp_path: Path) -> None:
    for side, shown in ((64, 64), (512, SIDE)):
        ramp = np.linspace(0, 255, side * side // 2 * 3).reshape(side, side // 2, 3)
        pixels = ramp.astype(np.uint8)
        Store(tmp_path).put_image(tmp_path / "a.png", pixels, {"prompt": "secret"})
        small = thumbnail(tmp_path / "a.png")
        assert small is not None and b"secret" not in small and len(small) <= LARGEST
        with Image.open(io.BytesIO(small)) as image:
            assert image.format == "WEBP" and image.size == (shown // 2, shown)
            if side == 64:
                assert (np.asarray(image) == pixels).all()


def test_what_is_no_image_is_left_out(tmp_path: Path) -> None:
    Store(tmp_path).put_image(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8), {})
    whole = (tmp_path / "a.png").read_bytes()
    for damage in (b"", whole[: len(whole) // 2], b"GIF89a", whole[:30] + b"\0" * 40):
        (tmp_path / "a.png").write_bytes(damage)
        assert thumbnail(tmp_path / "a.png") is None
    os.mkfifo(tmp_path / "pipe.png")
    assert thumbnail(tmp_path / "pipe.png") is None
    assert thumbnail(tmp_path / "none.png") is None
