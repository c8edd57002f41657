"""What is there is known from manifests: quickly, and never of what was touched since."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from lycoris_bench.planning import drawn_sets, scored_rows, status
from lycoris_bench.planning.overview import listing, overview
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.manifest import Manifest
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint
from tests.support.world import HERE, STAGES, Dying, killed, run, tiny

pytestmark = pytest.mark.usefixtures("undrawn")

LINE = ("train", "generate", "score")
AGAIN = replace(HERE, also_scored=True)
CHANGES: dict[str, Any] = {
    "concepts": ["toys/bunny"], "epochs": [1], "sampling": {"images": 2, "steps": 1},
    "scoring": {"encoders": ["miniature-image"]},
    "algorithms": {"lora": {"lr": 2e-3, "dim": 4, "alpha": 2}},
}  # fmt: skip
IMAGE = "images/base/toys/bunny/train/00001.png"


@pytest.fixture(scope="module")
def asked(quick_base: str) -> Plan:
    return plan(tiny(**CHANGES, base_model=quick_base))


def with_sampling(asked: Plan, **sampling: int) -> Plan:
    """The same study, drawn in another way."""
    base = asked.study.settings.base_model
    return plan(tiny(**{**CHANGES, "sampling": sampling}, base_model=base))


@pytest.fixture(scope="module")
def whole(asked: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("whole"))
    assert not any(outcome.failed for outcome in run(asked, store, LINE).values())
    return store


@pytest.fixture
def store(whole: Store, tmp_path: Path) -> Store:
    shutil.copytree(whole.root, tmp_path / "run")  # with the times of files and folders
    return Store(tmp_path / "run")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images whose uid is read."""
    paths: list[Path] = []
    honest = Store.image_uid

    def counted(store: Store, path: Path) -> str | None:
        paths.append(path)
        return honest(store, path)

    monkeypatch.setattr(Store, "image_uid", counted)
    return paths


@pytest.fixture(params=["closely", "by folder"])
def closely(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways to look: at each file of a small study, at the folders of a large one."""
    if request.param == "by folder":
        monkeypatch.setattr(status, "CLOSELY", 0)
    return bool(request.param == "closely")


def naive(asked: Plan, store: Store, checkpoint: Checkpoint) -> list[str]:
    """The uids that are absent, by opening every image."""
    lacking = []
    for job in asked.jobs(checkpoint):
        path = store.image(job.image_set, job.k)
        try:
            with Image.open(path) as image:
                found = json.loads(image.info["lycoris-bench"])["uid"]
        except OSError:
            found = None
        lacking += [] if found == job.uid else [job.uid]
    return lacking


def test_a_second_time_no_image_and_no_table_is_opened(
    asked: Plan, store: Store, opened: list[Path], closely: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "frame", lambda *_: pytest.fail("a table was read"))
    monkeypatch.setattr(Plan, "jobs_of", lambda *_: pytest.fail("a uid was computed"))
    found = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    assert [STAGES[name](asked, store, HERE).done for name in LINE] == [0, 0, 0]
    assert opened == []
    assert found == {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}


def test_what_was_removed_is_found(asked: Plan, store: Store, closely: bool) -> None:
    (store.root / IMAGE).unlink()
    (lost,) = Status(asked, store).absent(BASE_CHECKPOINT)
    assert store.image(lost.image_set, lost.k) == store.root / IMAGE
    assert naive(asked, store, BASE_CHECKPOINT) == [lost.uid]
    shutil.rmtree(store.root / "images/lora")
    assert Status(asked, store).lacking(asked.trained[0]) == asked.image_count(asked.trained[0])
    assert [STAGES["generate"](asked, store, HERE).done for _ in range(2)] == [0, 0]
    assert [STAGES["generate"](asked, store, AGAIN).done for _ in range(2)] == [2, 0]
    assert naive(asked, store, BASE_CHECKPOINT) == []


def test_another_image_in_the_place_of_one_is_found(asked: Plan, store: Store) -> None:
    """Put there by hand, in place: the folder's time does not show it, its own does."""
    path = store.root / IMAGE
    path.write_bytes(path.with_name("00000.png").read_bytes())
    assert [job.k for job in Status(asked, store).absent(BASE_CHECKPOINT)] == [1]


def test_what_is_damaged_inside_is_drawn_again_once_it_was_decoded(
    asked: Plan, whole: Store, store: Store, closely: bool
) -> None:
    """In a large study, too, where only its folder's time is looked at."""
    path = store.root / IMAGE
    honest, time = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(honest[:200] + bytes([honest[200] ^ 1]) + honest[201:])
    os.utime(path, ns=(time, time))  # as a failing disk leaves it
    shutil.rmtree(store.root / "features")
    shutil.rmtree(store.root / "metrics")
    said = STAGES["score"](asked, store, HERE).failed
    assert "run 'lycoris-bench generate' to draw it again" in " ".join(said.values())
    assert STAGES["generate"](asked, store, HERE).done == 1
    assert path.read_bytes() == honest
    assert not STAGES["score"](asked, store, HERE).failed
    mine, theirs = (one.frame(one.table("metrics")) for one in (store, whole))
    pd.testing.assert_frame_equal(mine[0], theirs[0], check_exact=True)


@pytest.mark.parametrize("damage", ["gone", "cut", "exchanged"])
def test_lost_images_of_a_scored_checkpoint_are_counted_and_not_missed(
    asked: Plan, store: Store, damage: str, request: pytest.FixtureRequest
) -> None:
    """Its rows were made of all of them. They are drawn again on request."""
    if damage != "gone":
        request.getfixturevalue("unanalyzed")  # the same rows are not analyzed again
    checkpoint, count = asked.trained[0], asked.image_count(asked.trained[0])
    path = store.root / f"images/{checkpoint}/toys/bunny/train/00001.png"
    honest, rows = path.read_bytes(), store.table("metrics").read_bytes()
    changed = {"cut": honest[:-20], "exchanged": path.with_name("00000.png").read_bytes()}
    path.write_bytes(changed.get(damage, honest))
    if damage == "gone":
        path.unlink()
    name, all_ = str(checkpoint), len(asked.checkpoints)
    (row,) = [r for r in listing(asked, store)["checkpoints"] if r["checkpoint"] == name]
    assert (row["images"], row["to_draw"], row["scored"]) == (count - 1, 0, True)
    assert f"{count - 1}/{count} images  scored" in listing(asked, store)["text"]
    assert overview(asked, store, [])["scored"] == all_
    for stage in ("generate", "score", "analyze"):
        outcome = STAGES[stage](asked, store, HERE)
        assert (outcome.done, outcome.failed) == (int(stage == "analyze"), {})
    drawn = STAGES["generate"](asked, store, AGAIN)
    place = path.relative_to(store.root)
    assert drawn.warnings == (
        {} if damage == "gone" else {name: f"drawn again, since damaged or exchanged: {place}"}
    )
    assert path.read_bytes() == honest
    assert store.table("metrics").read_bytes() == rows


@pytest.mark.parametrize("damage", ["cut", "another number", "gone", "a list"])
def test_a_manifest_that_is_damaged_is_not_believed(
    asked: Plan, store: Store, opened: list[Path], damage: str
) -> None:
    path = store.manifest(BASE_CHECKPOINT)
    text = path.read_text()
    (store.root / IMAGE).unlink()
    folder = (store.root / IMAGE).parent
    changed = {"cut": text[:-20], "another number": text.replace("1", "2", 1), "a list": "[1]"}
    path.write_text(changed.get(damage, text))
    if damage == "gone":
        path.unlink()
    assert [job.k for job in Status(asked, store).absent(BASE_CHECKPOINT)] == [1]
    assert len(opened) == asked.image_count(BASE_CHECKPOINT)
    assert folder.is_dir()


def without_protocol(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of rows as versions stored them whose fingerprints had no protocol."""
    measured = frame["fingerprint"].str.partition("-")[0]
    return frame.assign(fingerprint=measured).drop(columns="protocol")


def test_a_run_of_0_1_opens_and_gets_its_manifests(
    asked: Plan, store: Store, opened: list[Path]
) -> None:
    """It has images with uids, tables under the identity of then, and no manifest."""
    for path in store.root.rglob("manifest.json"):
        path.unlink()
    for source in scored_rows.sources(asked):
        path = store.metrics(store.branch(source))
        frame, _ = store.frame(path)
        old = without_protocol(frame)
        store.put_frame(path, old, scored_rows.inputs_of_0_1(asked, store, source))
    before = store.table("metrics").read_bytes()
    count = sum(map(asked.image_count, asked.checkpoints))
    assert all(Status(asked, store).has_rows(c) for c in asked.checkpoints)
    assert not list(store.root.rglob("manifest.json")), "who only looks writes nothing"
    assert [STAGES[name](asked, store, HERE).done for name in LINE] == [0, 0, 0]
    assert opened == [], "what is scored needs no images"
    assert store.table("metrics").read_bytes() == before
    assert STAGES["generate"](asked, store, AGAIN).done == 0
    assert len(opened) == count, "each once"
    opened.clear()
    assert STAGES["generate"](asked, store, AGAIN).done == 0
    assert [STAGES[name](asked, store, HERE).done for name in LINE] == [0, 0, 0]
    assert opened == []


@pytest.mark.parametrize("rescored", [[], [BASE_CHECKPOINT]])
def test_rows_without_a_protocol_get_it_without_being_scored(
    asked: Plan, store: Store, whole: Store, rescored: list[Checkpoint],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """As versions up to this one stored them; also in the middle of a `score`. The tables are those
    of a run that was scored now."""
    if rescored:
        request.getfixturevalue("unanalyzed")  # the same rows are not analyzed again
    for path in [*store.root.glob("metrics/**/*[!s].parquet"), store.table("metrics")]:
        frame, identity = store.frame(path)
        store.put_frame(path, without_protocol(frame), identity)
    for checkpoint in rescored:
        store.metrics(store.branch(checkpoint)).unlink()
    assert STAGES["score"](asked, store, HERE).done == len(rescored)
    mine, theirs = (one.frame(one.table("metrics"))[0] for one in (store, whole))
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    assert not STAGES["analyze"](asked, store, HERE).failed
    assert STAGES["score"](asked, store, HERE).done == 0


def test_other_settings_are_told_without_opening_an_image(
    asked: Plan, store: Store, opened: list[Path], closely: bool
) -> None:
    other = with_sampling(asked, images=2, steps=2)
    assert Status(other, store).lacking(BASE_CHECKPOINT) == other.image_count(BASE_CHECKPOINT)
    assert opened == [] and naive(other, store, BASE_CHECKPOINT)


def test_more_images_are_drawn_beside_those_that_are_there(
    asked: Plan, store: Store, closely: bool
) -> None:
    """A larger set shares its images among prompts in another way: each is looked at."""
    more = with_sampling(asked, images=3, steps=1)
    for checkpoint in more.checkpoints:
        found = [job.uid for job in Status(more, store).absent(checkpoint)]
        assert found == naive(more, store, checkpoint)
        assert 0 < len(found) < more.image_count(checkpoint)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_killed_generate_never_leaves_a_manifest_of_other_images(
    asked: Plan, whole: Store, tmp_path: Path, closely: bool
) -> None:
    """Settings A, killed in the middle of B, and A again: no image of B is taken for one of A."""
    shutil.copytree(whole.root, tmp_path / "run")
    root, store = tmp_path / "run", Store(tmp_path / "run")
    other = with_sampling(asked, images=2, steps=2)
    end = killed(lambda: STAGES["generate"](other, Dying(root, 4), HERE))
    assert end == signal.SIGKILL
    for made in (asked, other):
        for checkpoint in made.checkpoints:
            found = [job.uid for job in Status(made, store).absent(checkpoint)]
            assert found == naive(made, store, checkpoint)
    assert naive(asked, store, BASE_CHECKPOINT) and naive(other, store, BASE_CHECKPOINT)
    assert not STAGES["generate"](asked, store, AGAIN).failed
    assert naive(asked, store, BASE_CHECKPOINT) == []


def test_a_set_is_kept_as_soon_as_it_is_whole(
    asked: Plan, tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed `generate` opens the images of the sets in work, not those of the whole sets."""
    monkeypatch.setattr(drawn_sets, "OFTEN", 2)
    store, images = Store(tmp_path), asked.jobs(BASE_CHECKPOINT)
    drawn = drawn_sets.DrawnSets(Status(asked, store), BASE_CHECKPOINT, images)
    for job in images[:5]:  # two sets of two, and one image
        store.put_image(store.image(job.image_set, job.k), _grey(), {"uid": job.uid})
        drawn.stored(job)
    assert len(Manifest.read(store.manifest(BASE_CHECKPOINT)).sets) == 2
    assert Status(asked, store).lacking(BASE_CHECKPOINT) == len(images) - 5
    assert opened == [store.image(job.image_set, job.k) for job in images[4:6]]


def test_half_written_images_are_removed_by_who_holds_the_run(asked: Plan, store: Store) -> None:
    half, download = (store.root / f"{IMAGE}.{end}" for end in ("123.part", "part"))
    merge = store.root / "images/base/applied.json.7.part"
    for path in (half, download, merge):
        path.write_bytes(b"half")
    assert Status(asked, store).lacking(BASE_CHECKPOINT) == 0 and half.exists()
    assert STAGES["generate"](asked, store, AGAIN).done == 0
    assert not half.exists() and not merge.exists() and download.exists()


def _grey() -> Any:
    import numpy as np

    return np.full((8, 8, 3), 128, np.uint8)


def test_a_table_that_was_touched_is_read_again(asked: Plan, store: Store) -> None:
    checkpoint = asked.trained[0]
    path = store.metrics(store.branch(checkpoint))
    assert Status(asked, store).has_rows(checkpoint) and Status(asked, store).is_assembled()
    path.write_bytes(path.read_bytes()[:-40])
    assert not Status(asked, store).has_rows(checkpoint)
    assert not Status(asked, store).is_assembled()
    assert [STAGES["score"](asked, store, HERE).done for _ in range(2)] == [1, 0]
    store.table("metrics").with_suffix(".csv").unlink()
    assert STAGES["score"](asked, store, HERE).done == 0
    assert store.table("metrics").with_suffix(".csv").exists(), "it is assembled again"
