"""Folder keys and column titles: every form the authors use, and what is none of theirs."""

from itertools import product

import pytest

from lycoris_bench.published import renames
from lycoris_bench.published.column_title import column_title
from lycoris_bench.published.folder_key import FolderKey, folder_key
from lycoris_bench.published.renames import PublishedError
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.metrics import METRICS
from tests.published.conftest import DRAWN, LORA


@pytest.mark.parametrize("strength", [None, 3, 10])
@pytest.mark.parametrize("place", [
    "", "style", "anime/abukuma", "people/Saw_Gerrera/bald, realistic", "stuffed_toy/a/b c",
])  # fmt: skip
@pytest.mark.parametrize(("letter", "seed"), [("a", 23), ("c", 25)])
@pytest.mark.parametrize(("ending", "epoch"), [("", 50), ("-000010", 10)])
def test_a_key_says_what_it_was_put_together_from(
    strength: int | None, place: str, letter: str, seed: int, ending: str, epoch: int
) -> None:
    head = f"{strength:02d}/" if strength else ""
    tail = f"/{place}" if place else ""
    category, class_name, subclass = ([*place.split("/"), "", "", ""])[:3]
    ours = {"style": "styles", "anime": "anime characters", "people": "movie characters",
            "stuffed_toy": "stuffed toys"}  # fmt: skip
    assert folder_key(f"{head}{DRAWN}-{LORA}-{letter}{ending}{tail}") == FolderKey(
        DRAWN, LORA, seed, epoch, strength / 10 if strength else 1.0,
        ours.get(category, ""), class_name, subclass,
    )  # fmt: skip


def test_the_base_model_has_neither_experiment_nor_seed() -> None:
    key = folder_key(f"{DRAWN}/scene/scene_canal")
    assert (key.experiment, key.seed, key.epoch, key.category) == (None, None, None, "scenes")


@pytest.mark.parametrize("folder", [f"{DRAWN}-{LORA}", f"{DRAWN}-{LORA}-d", f"{DRAWN}-exp-a", ""])
def test_a_damaged_key_is_never_taken_for_the_base_model(folder: str) -> None:
    with pytest.raises(PublishedError, match="cannot be read; needed is"):
        folder_key(folder)


def test_every_title_of_the_grid() -> None:
    """All encoders, resizings and prompt types, told from one another."""
    eyes = {
        "clip-L-14": "clip-l-datacomp",
        "dinov2-l-fb": "dinov2-l",
        "convnextv2-l": "convnextv2-l",
    }
    resizings = {"padding": "letterbox", "crop": "crop", "resize": "stretch"}
    kinds = {"in": "train", "out": "alter", "trigger": "trigger"}
    seen = set()
    for eye, resizing, kind in product(eyes, resizings, kinds):
        view = column_title(f"Squared Centroid Distance ({eye}-{resizing}) ({kind})")
        scaled = (eye, resizing) == ("convnextv2-l", "resize")
        assert view.encoder == eyes[eye] and view.prompt_type == kinds[kind]
        assert view.resize == ("scale" if scaled else resizings[resizing])
        assert (view.metric, view.better) == ("centroid_distance", "lower")
        seen.add(view)
    assert len(seen) == 27


@pytest.mark.parametrize(("title", "expected"), [
    ("Style Loss (base model)", ("style_loss", "vgg19", "scale", "style")),
    ("Style Loss (out)", ("style_loss", "vgg19", "scale", "alter")),
    ("Text Similarity (trigger)", ("text_similarity", "clip-l-datacomp", "", "trigger")),
    ("FD (clip-L-14-resize)", ("frechet_distance", "clip-l-datacomp", "stretch", "train")),
])  # fmt: skip
def test_titles_beside_the_grid(title: str, expected: tuple[str, ...]) -> None:
    view = column_title(title)
    assert (view.metric, view.encoder, view.resize, view.prompt_type) == expected


@pytest.mark.parametrize(("title", "said"), [
    ("Beauty (in)", "unknown metric 'Beauty'; known are: Image Similarity"),
    ("Vendi (clip-B-32) (in)", "unknown encoder 'clip-B-32'; known are: dinov2-l-fb"),
    ("Vendi (clip-L-14)", "says no prompts"),
    ("Vendi (in)", "names no encoder"),
    ("Vendi (a) (b) (in)", "cannot be read"),
])  # fmt: skip
def test_a_title_that_is_not_known(title: str, said: str) -> None:
    with pytest.raises(PublishedError) as error:
        column_title(title)
    assert said in str(error.value)


def test_our_names_exist_and_point_the_same_way() -> None:
    known = {getattr(m, "called", name): m for name, m in METRICS.entries().items()}
    for name in renames.METRICS.values():
        assert known[name].better == ("lower" if name in renames.LOWER else "higher")
    for name in (*renames.ENCODERS.values(), renames.GRAM_ENCODER):
        assert encoders.record(name).name == name
