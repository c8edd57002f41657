"""The whole line as one command: the rows of the four stages, whatever is kept, and after any
kill."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.outcome import Outcome
from lycoris_bench.run.passing import Passing, remove_images
from lycoris_bench.run.store import Store
from lycoris_bench.stages import drawing, fine_tuning, keeping
from lycoris_bench.stages import run as whole_line
from lycoris_bench.stages import train as training
from lycoris_bench.stages.run import run as run_all
from lycoris_bench.study.records import BASE_CHECKPOINT
from tests.support.shared import once
from tests.support.world import HERE, STAGES, Dying, killed, tiny

pytestmark = [
    pytest.mark.usefixtures("undrawn"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

EYE = "miniature-image"
ROWS = pytest.mark.usefixtures("unanalyzed")  # looks at what is before the analysis


def everything(asked: Plan, store: Store, **chosen: Any) -> Outcome:
    with store.lock():
        return run_all(asked, store, replace(HERE, **chosen))


def rows(store: Store) -> pd.DataFrame:
    found = store.frame(store.table("metrics"))
    assert found is not None
    return found[0]


def images(store: Store) -> set[str]:
    return {str(path.relative_to(store.root)) for path in store.root.rglob("images/**/*.png")}


@pytest.fixture(scope="module")
def fused(brief: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The brief study by one command that keeps all it makes."""

    def make(folder: Path) -> None:
        outcome = everything(brief, Store(folder), keep_images="all")
        assert (outcome.done, outcome.failed) == (3, {})

    return Store(once(tmp_path_factory, "fused", make))


@pytest.fixture
def begun(fused: Store, tmp_path: Path) -> Store:
    """A copy of the run, to change."""
    return Store(shutil.copytree(fused.root, tmp_path / "run"))


def test_rows_features_and_images_are_those_of_the_stages(finished: Store, fused: Store) -> None:
    pd.testing.assert_frame_equal(rows(fused), rows(finished), check_exact=True)
    compared = 0
    for pattern in ("images/**/*.png", "features/**/*.safetensors", "checkpoints/**/*.safetensors"):
        for path in finished.root.glob(pattern):
            compared += 1
            place = fused.root / path.relative_to(finished.root)
            assert place.read_bytes() == path.read_bytes(), place
    assert compared > 10
    tables = [path.relative_to(finished.root) for path in finished.root.rglob("*-images.parquet")]
    for table in tables:
        mine, theirs = (store.frame(store.root / table) for store in (fused, finished))
        assert mine is not None and theirs is not None
        pd.testing.assert_frame_equal(mine[0], theirs[0], check_exact=True)


@ROWS
def test_images_are_encoded_from_the_pixels_that_were_drawn(
    brief: Plan, begun: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of the checkpoint is read; those of the base model are, which it is compared with."""
    from lycoris_bench.scoring import feature_pass

    read: list[Path] = []
    before = feature_pass.read_image
    monkeypatch.setattr(feature_pass, "read_image", lambda path: read.append(path) or before(path))
    last = brief.checkpoints[-1]
    remove_images(begun, last)
    begun.metrics(begun.branch(last)).unlink()
    assert everything(brief, begun).done == 1
    assert not [path for path in read if path.is_relative_to(begun.manifest(last).parent)]


@pytest.mark.study
@pytest.mark.parametrize("keep", ["sample", "none"])
def test_images_are_gone_when_their_rows_are_stored(
    brief: Plan, finished: Store, fused: Store, tmp_path: Path, keep: str,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    store, told = Store(tmp_path), list[tuple[str, float, float]]()
    outcome = everything(brief, store, keep_images=keep, progress=lambda *step: told.append(step))
    assert outcome.done == 3
    (work,) = {total for _, _, total in told}  # progress counts all of it, once
    assert sum(steps for _, steps, _ in told) == pytest.approx(work)
    pd.testing.assert_frame_equal(rows(store), rows(finished), check_exact=True)
    kept = set[Path]().union(*(keeping.sample_of(brief, store, c) for c in brief.checkpoints))
    sample = {str(path.relative_to(store.root)) for path in kept} & images(fused)
    left = sample if keep == "sample" else set()
    assert images(store) == left and sample
    request.getfixturevalue("unanalyzed")  # the same rows are not analyzed again
    again = everything(brief, store, keep_images=keep)
    assert (again.done, again.skipped, again.failed) == (0, 3, {})
    for name in ("train", "generate", "score"):  # nor do the stages make them again
        assert (STAGES[name](brief, store, HERE).done, images(store)) == (0, left)


@pytest.mark.study
@ROWS
def test_the_disk_never_holds_more_than_base_and_the_one_that_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_base: str
) -> None:
    one = {"base_model": quick_base, "concepts": ["toys/bunny"], "scoring": {"encoders": [EYE]}}
    asked, most = plan(tiny(**one, sampling={"steps": 1, "prompt_types": ["train", "alter"]})), 0
    before = Store.put_image

    def counted(self: Store, *arguments: Any) -> None:
        nonlocal most
        before(self, *arguments)
        most = max(most, len(images(self)))

    monkeypatch.setattr(Store, "put_image", counted)
    assert everything(asked, Store(tmp_path), keep_images="none").done == 5
    assert most == 2 * asked.image_count(BASE_CHECKPOINT)


@pytest.mark.study
@ROWS
def test_weights_are_gone_when_all_that_they_draw_is_scored(
    tmp_path: Path, quick_base: str
) -> None:
    """Also by a combination; first but each run's last, then all. Nothing is made again."""
    asked = plan(
        tiny(
            base_model=quick_base, concepts=["toys/bunny"],
            sampling={"steps": 1, "images": 1, "prompt_types": ["train"]},
            scoring={"encoders": [EYE]}, algorithms={"lora": {"lr": 2e-3, "dim": 4, "alpha": 2}},
            combine={"mix": {"adapters": ["lora"], "strengths": [0.5]}},
        )
    )  # fmt: skip
    store = Store(tmp_path)
    for keep, done, left in (("last", 5, ["epoch-002"]), ("none", 0, [])):
        outcome = everything(asked, store, keep_checkpoints=keep)
        assert (outcome.done, outcome.failed) == (done, {})
        assert [path.stem for path in tmp_path.rglob("checkpoints/**/*.safetensors")] == left
    assert len(list(tmp_path.rglob("checkpoints/**/*.json"))) == 2  # the cards: cost, machine
    assert everything(asked, store).done == STAGES["train"](asked, store, HERE).done == 0
    assert {Status(asked, store).of_weights(c) for c in asked.trained} == {"not kept"}


@ROWS
def test_what_the_stages_made_is_kept(brief: Plan, finished: Store, copied: Store) -> None:
    """Rows are lost; `run` scores again, and removes none of the images of `generate`."""
    shutil.rmtree(copied.root / "metrics")
    before = images(copied)
    outcome = everything(brief, copied, keep_images="none", keep_checkpoints="none")
    assert (outcome.done, images(copied)) == (3, before)
    assert len(list(copied.root.rglob("checkpoints/**/*.safetensors"))) == 2
    pd.testing.assert_frame_equal(rows(copied), rows(finished), check_exact=True)


def bare(plan: Plan, store: Store) -> Store:
    """A finished run of which nothing was kept, as `run --keep-images none` leaves it."""
    names = frozenset(map(str, plan.checkpoints))
    Passing(names, names).write(store)
    everything(plan, store, keep_images="none", keep_checkpoints="none")
    assert not images(store) and not list(store.root.rglob("checkpoints/**/*.safetensors"))
    return store


@pytest.mark.study
@ROWS
def test_scored_checkpoints_are_made_again_on_request(brief: Plan, begun: Store) -> None:
    """What was not kept is no warning; what is made again is there to keep."""
    store, options = bare(brief, begun), replace(HERE, also_scored=True)
    first = brief.checkpoints[1]
    said = STAGES["generate"](brief, store, options).failed[str(first)]
    assert said == "is missing; run 'lycoris-bench train --also-scored'"
    trained = STAGES["train"](brief, store, options)
    assert (trained.done, trained.warnings) == (2, {})
    assert STAGES["generate"](brief, store, options).done == 2  # and base, above
    everything(brief, store, keep_images="none", keep_checkpoints="none")
    assert len(images(store)) == sum(map(brief.image_count, brief.checkpoints))
    assert not Passing.read(store).images
    store.checkpoint(first).write_bytes(b"junk")
    assert Status(brief, store).of_weights(first) == "damaged"


@ROWS
def test_what_was_kept_once_is_kept(brief: Plan, begun: Store) -> None:
    """`run --keep-images all`, then `run` as it comes, and with nothing to keep."""
    before = images(begun)
    for keep in ("sample", "none"):
        outcome = everything(brief, begun, keep_images=keep, keep_checkpoints="none")
        assert (outcome.done, outcome.warnings, images(begun)) == (0, {}, before)
    assert len(list(begun.root.rglob("checkpoints/**/*.safetensors"))) == 2


@ROWS
def test_what_is_removed_later_or_asked_for_in_vain_is_said(brief: Plan, begun: Store) -> None:
    count = len(images(begun))
    Passing(frozenset(map(str, brief.checkpoints))).write(begun)
    said = everything(brief, begun, keep_images="none").warnings
    assert said == {"images": f"{count} images of scored checkpoints were removed "
                              "(--keep-images none)"}  # fmt: skip
    said = everything(brief, begun, keep_images="all").warnings
    assert said["images"].startswith(f"{count} images of scored checkpoints are not there")


@pytest.mark.study
def test_rows_alone_make_a_checkpoint_done(brief: Plan, begun: Store) -> None:
    """What a results folder in a repository holds."""
    for folder in ("images", "features", "checkpoints", "analysis", "report"):
        shutil.rmtree(begun.root / folder, ignore_errors=True)
    outcome = everything(brief, begun)
    assert (outcome.done, outcome.skipped, outcome.failed) == (0, 3, {})
    assert outcome.reported and begun.report.exists() and not images(begun)


@ROWS
def test_base_images_are_drawn_again_for_those_that_need_them(brief: Plan, begun: Store) -> None:
    last = brief.checkpoints[-1]
    before = rows(begun)
    remove_images(begun, BASE_CHECKPOINT)
    begun.metrics(begun.branch(last)).unlink()
    assert "run 'lycoris-bench generate'" in STAGES["score"](brief, begun, HERE).failed["base"]
    assert everything(brief, begun, keep_images="all").done == 2
    pd.testing.assert_frame_equal(rows(begun), before, check_exact=True)


@ROWS
def test_damaged_images_are_drawn_again_at_once(brief: Plan, begun: Store) -> None:
    """Of the checkpoint and of the base model: their pixels do not decode."""
    last, before = brief.checkpoints[-1], rows(begun)
    for checkpoint in (BASE_CHECKPOINT, last):
        job = brief.jobs(checkpoint)[0]
        path = begun.image(job.image_set, job.k)
        data = bytearray(path.read_bytes())
        data[data.index(b"IDAT") + 12] ^= 255
        stat = path.stat()
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    begun.metrics(begun.branch(last)).unlink()
    shutil.rmtree(begun.root / "features")
    assert everything(brief, begun, keep_images="all").done >= 1
    pd.testing.assert_frame_equal(rows(begun), before, check_exact=True)


@pytest.mark.study
@ROWS
def test_refused_images_are_named_and_the_rest_goes_on(
    brief: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = drawing.sample

    def blank(backbone: Any, prompts: Any, seeds: Any, **how: Any) -> Any:
        made = before(backbone, prompts, seeds, **how)
        if len(images(store)) >= brief.image_count(BASE_CHECKPOINT) and not refused:
            made.pixels[0] = 0
            refused.append(1)
        return made

    store, refused = Store(tmp_path), list[int]()
    monkeypatch.setattr(drawing, "sample", blank)
    outcome = everything(brief, store)
    first = str(brief.checkpoints[1])
    assert outcome.failed == {first: outcome.failed[first]} and outcome.done == 2
    assert "1 image was not stored" in outcome.failed[first]
    assert "is blank" in outcome.failed[first]
    assert everything(brief, store).done == 1


def test_what_waits_for_a_failure_is_named(
    brief: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Iterator[Any]:
        raise ValueError("no more")

    monkeypatch.setattr(fine_tuning.loop, "train", fails)
    outcome = everything(brief, Store(tmp_path))
    run_name = "lora/seed-23"
    assert outcome.failed[run_name] == "ValueError: no more"
    waiting = {str(c) for c in brief.checkpoints[1:]}
    assert {name for name, said in outcome.failed.items() if "not begun" in said} == waiting
    assert outcome.failed[str(brief.checkpoints[1])] == f"not begun, as {run_name} failed"
    assert outcome.done == 1  # the base model


WRITES = 36  # of the brief study's run, about; a later number kills nothing


@pytest.mark.study
@pytest.mark.parametrize(
    "fatal",
    [
        pytest.param(fatal, marks=[] if fatal in (6, 26) else pytest.mark.slow)
        for fatal in (0, 3, 6, 9, 13, 17, 20, 23, 26, 29, 32, WRITES)
    ],
)
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_rows(
    brief: Plan, finished: Store, tmp_path: Path, fatal: int, workers: int,
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """SIGKILL inside a write of this process or, of two, of a worker; then the command again."""
    monkeypatch.setattr(fine_tuning, "STATE_SECONDS", 0.0)  # a training state after every step
    options = replace(HERE, keep_images="none", keep_checkpoints="none", workers=workers)
    Store(tmp_path).describe(brief.study.toml(), {})  # as every command does before its stage
    end = killed(lambda: run_all(brief, Dying(tmp_path, fatal), options))
    assert end == signal.SIGKILL or fatal == WRITES or workers == 2
    store = Store(tmp_path)
    if fatal < WRITES - 10:  # killed before the analysis, which other tests look at
        request.getfixturevalue("unanalyzed")
    outcome = everything(brief, store, keep_images="none", keep_checkpoints="none")
    assert outcome.failed == {}
    assert not list(tmp_path.rglob("*.part"))
    pd.testing.assert_frame_equal(rows(store), rows(finished), check_exact=True)
    assert not images(store) and not list(tmp_path.rglob("checkpoints/**/*.safetensors"))


@pytest.mark.slow
def test_two_workers_give_the_rows_of_one(brief: Plan, finished: Store, tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert everything(brief, store, workers=2).failed == {}
    pd.testing.assert_frame_equal(rows(store), rows(finished), check_exact=True)


def test_training_comes_last_and_the_longest_first(brief: Plan, tmp_path: Path) -> None:
    """Order: what all wait for, what frees disk, then training, by length."""
    asked = plan(tiny(concepts=["toys/bunny"]))
    store, outcome = Store(tmp_path), Outcome()
    trained = training.trainings(asked, store, HERE, outcome)
    items = list(whole_line._longest_first(trained, whole_line.TRAIN))
    assert [item.turn for item in items] == [whole_line.TRAIN] * 2
    shorter = replace(trained[1], steps=trained[1].steps / 2)
    turns = [item.turn for item in whole_line._longest_first([trained[0], shorter], 2.0)]
    assert turns[0] < turns[1] <= whole_line.TRAIN + 1
