"""A checkpoint in parts: images and rows are those of the whole, wherever its queue is cut."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning import parts as cut
from lycoris_bench.planning.parts import Part, parts
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.stages.joining import is_scored, join
from lycoris_bench.stages.run import draw_and_score
from lycoris_bench.stages.score import score_one
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES, Checkpoint
from tests.support.world import HERE, run, tiny

SAMPLING = {"images": 2, "batch_size": 3, "prompt_types": ["train", "alter", "style"]}


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, quick_base: str
) -> tuple[Plan, Store, Checkpoint]:
    """A study whose one checkpoint is drawn and scored in one piece."""
    scoring = {"batch_size": 2, "encoders": ["miniature-gram", "miniature-image"]}
    asked = plan(tiny(
        algorithms={"lora": {"lr": 2e-3, "dim": 2}}, epochs=[1], sampling=SAMPLING,
        scoring=scoring, concepts=["toys/bunny", "styles/woodcut", "toys/lobster"],
        base_model=quick_base,
    ))  # fmt: skip
    store = Store(tmp_path_factory.mktemp("whole"))
    run(asked, store, ("train", "generate", "score"))
    return asked, store, asked.checkpoints[1]


def beginning(asked: Plan, from_: Store, folder: Path) -> Store:
    """A run with the weights and the base model's images and rows of another."""
    store = Store(folder)
    for path in from_.root.rglob("*"):
        of_base = "lora" not in path.relative_to(from_.root).parts or "checkpoints" in path.parts
        if path.is_file() and of_base:
            disk.write(folder / path.relative_to(from_.root), disk.read_bytes(path))
    return store


@pytest.mark.study
@pytest.mark.parametrize("most", [2, 6, 7])
def test_parts_joined_are_the_whole(
    whole: tuple[Plan, Store, Checkpoint], tmp_path: Path, most: int
) -> None:
    asked, one, checkpoint = whole
    store = beginning(asked, one, tmp_path)
    cuts = parts(asked, checkpoint, most)
    assert len(cuts) > 1
    for part in reversed(cuts):
        draw_and_score(asked, store, checkpoint, part, "all", 0, HERE.device)
        assert is_scored(asked, store, checkpoint, part)
    with pytest.raises(BenchError, match="run again to draw them again"):
        join(asked, beginning(asked, one, tmp_path / "none"), checkpoint, cuts, HERE.device)
    join(asked, store, checkpoint, cuts, HERE.device)
    for kind in ("", "-images"):
        table = store.metrics(store.branch(checkpoint), kind)
        tables = [pd.read_parquet(s / table.relative_to(tmp_path)) for s in (one.root, tmp_path)]
        pd.testing.assert_frame_equal(*tables)
    images = sorted(one.manifest(checkpoint).parent.rglob("*.png"))
    for image in images:
        assert disk.read_bytes(image) == disk.read_bytes(tmp_path / image.relative_to(one.root))
    assert not list(tmp_path.rglob("*part-*"))  # what parts leave is removed
    assert store.metrics(store.branch(checkpoint)).with_suffix(".json").exists()


@pytest.mark.study
def test_parts_begin_with_a_batch_of_scoring_and_are_all_of_the_queue(
    whole: tuple[Plan, Store, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, _, checkpoint = whole
    total = asked.image_count(checkpoint)
    for most in (1, 3, 5, total, 10 * total):
        cuts = [part.images for part in parts(asked, checkpoint, most)]
        assert cuts[0].start == 0 and cuts[-1].stop == total
        assert all(one.stop == other.start for one, other in pairwise(cuts))
        assert all(c.start % 2 == 0 and c.start % SAMPLING["images"] == 0 for c in cuts)
    assert str(Part(3, 19, slice(0, 1))) == "part 3 of 19"
    assert len(parts(asked, checkpoint)) == 1 and total < cut.MOST_IMAGES


@pytest.mark.study
def test_features_of_parts_that_are_damaged_are_noticed(
    whole: tuple[Plan, Store, Checkpoint], tmp_path: Path
) -> None:
    """Their images are gone, so the parts are drawn again."""
    asked, one, checkpoint = whole
    store = beginning(asked, one, tmp_path)
    score_one(asked, store, REAL_IMAGES, HERE.device)
    cuts = parts(asked, checkpoint, 6)
    for part in cuts:
        draw_and_score(asked, store, checkpoint, part, "all", 0, HERE.device)
    (first, *_) = sorted(store.feature_folder(store.branch(checkpoint)).rglob("part-*/*"))
    content = bytearray(disk.read_bytes(first))
    content[-3] ^= 1
    first.write_bytes(content)
    for image in store.manifest(checkpoint).parent.rglob("*.png"):
        image.unlink()
    with pytest.raises(BenchError, match="lost or damaged"):
        join(asked, store, checkpoint, cuts, HERE.device)
    assert not any(is_scored(asked, store, checkpoint, part) for part in cuts)
    assert store.manifest(BASE_CHECKPOINT).parent.exists()
