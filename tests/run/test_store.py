"""A run on disk: whole writes, names that cannot leave it, one process at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lycoris_bench.run.cards import Card
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.safe_names import safe
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import (
    BASE_CHECKPOINT,
    Checkpoint,
    Concept,
    Configuration,
    ImageSet,
)

LORA = Checkpoint(Configuration("lora", "lora"), 23, 10)
HOSTILE = [
    "..",
    ".",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "con:1",
    "x\x00y",
    ".hidden",
]


@pytest.mark.parametrize("name", [*HOSTILE, "hat, pixel art", "naïve ☃", "日本語"])
def test_names_never_leave_the_run(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "run")
    concept = Concept(name, name, name)
    checkpoint = Checkpoint(Configuration(name, "lora"), 23, 10)
    for path in (
        store.image(ImageSet(checkpoint, concept, "train"), 3),
        store.checkpoint(checkpoint),
        store.metrics(store.branch(checkpoint)),
        store.features(store.branch(checkpoint), name),
    ):
        assert store.root in Path(os.path.normpath(path)).parents
        assert path == Path(os.path.normpath(path))


def test_names_stay_apart() -> None:
    names = [*HOSTILE, "a%2Fb", "%2E.", "hidden"]
    assert len({safe(name) for name in names}) == len(names)


def test_paths_are_those_of_the_design(tmp_path: Path) -> None:
    store = Store(tmp_path)
    concept = Concept("toys", "bunny", "pink robe")
    shown = store.image(ImageSet(LORA, concept, "alter"), 7).relative_to(tmp_path)
    assert str(shown) == "images/lora/seed-23/epoch-010/toys/bunny/pink robe/alter/00007.png"
    base = store.image(ImageSet(BASE_CHECKPOINT, Concept("toys", "bunny"), "style"), 0)
    assert str(base.relative_to(tmp_path)) == "images/base/toys/bunny/style/00000.png"
    weights = store.checkpoint(LORA).relative_to(tmp_path)
    assert str(weights) == "checkpoints/lora/seed-23/epoch-010.safetensors"
    assert store.metrics(store.branch(LORA)) == tmp_path / "metrics/lora/seed-23/epoch-010.parquet"


def test_an_image_carries_its_parameters(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pixels = np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3)
    path = tmp_path / "images/a.png"
    store.put_image(path, pixels, {"uid": "abc", "prompt": '日本 "quoted"', "seed": 1})
    assert store.image_uid(path) == "abc"
    with Image.open(path) as image:
        assert (np.asarray(image) == pixels).all()
        assert json.loads(image.info["lycoris-bench"])["prompt"] == '日本 "quoted"'


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"nonsense"])
def test_a_broken_image_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert Store(tmp_path).image_uid(tmp_path / "a.png") is None
    assert Store(tmp_path).image_uid(tmp_path / "none.png") is None


def test_a_frame_keeps_its_uid_and_absent_stays_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    frame = pd.DataFrame({"seed": pd.array([1, None], dtype="Int64"), "value": [0.0, 2.5]})
    store.put_frame(tmp_path / "m.parquet", frame, "abc")
    read = store.frame(tmp_path / "m.parquet")
    assert read is not None and read[1] == "abc"
    pd.testing.assert_frame_equal(read[0], frame)
    (tmp_path / "m.parquet").write_bytes(b"PAR1 cut off")
    assert store.frame(tmp_path / "m.parquet") is None


DONE = Card("u", "done", cost={"seconds": 1.5, "steps": 3})


def test_a_checkpoint_that_is_not_as_it_was_written_counts_as_missing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_checkpoint(LORA, b"x" * 100, DONE)
    card = store.card(LORA)
    assert card is not None and card.uid == "u"
    path = store.checkpoint(LORA)
    os.utime(path)  # as a copy of the folder has it: the content decides
    assert store.card(LORA) == card
    for damaged in (b"x" * 50, b"x" * 99 + b"y"):
        path.write_bytes(damaged)
        assert store.card(LORA) is None
    store.put_checkpoint(LORA, None, Card("u", "diverged", "loss is nan"))
    assert store.card(LORA) == Card("u", "diverged", "loss is nan")


def test_weights_are_used_as_they_were_written_or_set_aside(tmp_path: Path) -> None:
    """Even where a bit changed and neither size nor time of the file did."""
    store = Store(tmp_path)
    store.put_checkpoint(LORA, b"x" * 100, DONE)
    path = store.checkpoint(LORA)
    assert store.weights(LORA) == path
    time = path.stat().st_mtime_ns
    path.write_bytes(b"x" * 99 + b"y")
    os.utime(path, ns=(time, time))
    with pytest.raises(StoreError, match="damaged.*run 'lycoris-bench train' to make it anew"):
        store.weights(LORA)
    assert store.card(LORA) is None
    assert path.with_name(path.name + ".damaged").read_bytes() == b"x" * 99 + b"y"


@pytest.mark.parametrize("lacking", ["uid", "status", "cost", "bytes"])
def test_a_card_that_lacks_something_is_none(tmp_path: Path, lacking: str) -> None:
    store = Store(tmp_path)
    store.put_checkpoint(LORA, b"x", DONE)
    path = store.checkpoint(LORA).with_suffix(".json")
    card = store.read_json(path)
    card.pop(lacking)
    store.write_json(path, card)
    assert store.card(LORA) is None
    done = DONE.to_json()
    endless = {**done, "cost": {"seconds": float("inf"), "steps": 1}}
    for other in ([], "text", {"uid": "u", "status": "diverged"}, {**done, "cost": {}}, endless):
        path.write_text(json.dumps(other))
        assert store.card(LORA) is None
    path.unlink()
    os.mkfifo(path)  # must not hang
    assert store.card(LORA) is None


def test_a_png_that_is_cut_short_counts_as_missing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = tmp_path / "a.png"
    store.put_image(path, np.zeros((8, 8, 3), np.uint8), {"uid": "abc"})
    whole = path.read_bytes()
    for cut in (1, 4, 12, 40):
        path.write_bytes(whole[:-cut])
        assert store.image_uid(path) is None
    path.write_bytes(whole)
    assert store.image_uid(path) == "abc"


def test_a_frame_is_what_was_written_or_none(tmp_path: Path) -> None:
    """Every bit of the file: pages, their headers, and the footer that says what they mean."""
    store, path = Store(tmp_path), tmp_path / "m.parquet"
    frame = pd.DataFrame({
        "name": ["a", "b"], "seed": pd.array([1, None], dtype="Int64"), "value": [0.5, 2.0],
    })  # fmt: skip
    store.put_frame(path, frame, "abc")
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        for bit in (1, 16):
            path.unlink()  # to write over a file takes ten times as long
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            if (read := store.frame(path)) is not None:  # a bit of no meaning, such as padding
                pd.testing.assert_frame_equal(read[0], frame)
                assert read[1] == "abc"
    path.unlink()
    os.mkfifo(path)
    assert store.frame(path) is None


def test_a_table_of_somebody_else_is_taken_as_it_is(tmp_path: Path) -> None:
    frame = pd.DataFrame({"value": [1.0]})
    frame.to_parquet(tmp_path / "m.parquet")
    read = Store(tmp_path).frame(tmp_path / "m.parquet")
    assert read is not None and read[1] == ""
    pd.testing.assert_frame_equal(read[0], frame)


def test_a_lock_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.lock").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(StoreError), Store(tmp_path / "run").lock():
        pass
    assert (tmp_path / "precious.txt").read_text() == "mine"
    (tmp_path / "run/.lock").unlink()
    os.mkfifo(tmp_path / "run/.lock")
    with pytest.raises(StoreError, match="no plain file"), Store(tmp_path / "run").lock():
        pass


def test_what_can_be_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "loop")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is no folder"):
        Store(tmp_path / "file").belongs_to("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/study.toml").write_text("seeds = [1]")
    with pytest.raises(StoreError, match="missing or broken"):
        Store(tmp_path / "run").belongs_to("mine")


def test_half_written_files_are_swept_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    leftover, download = (
        tmp_path / "features/base" / name for name in ("a.safetensors.1.part", "a.part")
    )
    leftover.parent.mkdir(parents=True)
    for path in (leftover, download):
        path.write_bytes(b"half")
    with store.lock():
        assert leftover.exists()  # the folder is no run
    store.describe('name = "mine"', {})
    with store.lock():
        assert not leftover.exists() and download.exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(StoreError, match="holds other things and no run"):
        Store(tmp_path).belongs_to("mine")
    (tmp_path / "study.toml").write_text("not = [toml")
    with pytest.raises(StoreError, match="missing or broken"):
        Store(tmp_path).belongs_to("mine")


def test_a_run_folder_is_none_of_the_systems(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("/proc/self")
    for root in (tmp_path / "run", "/dev/runs/a"):
        with (
            pytest.raises(StoreError, match="is a place in /.*; choose another with --run"),
            Store(Path(root)).lock(),
        ):
            pass
    assert not Path("/dev/runs").exists()


def test_a_second_process_is_refused_with_its_number(tmp_path: Path) -> None:
    code = (
        "from lycoris_bench.run.folder import StoreError\n"
        "from lycoris_bench.run.store import Store\n"
        f"try:\n  with Store({str(tmp_path)!r}).lock(): print('in')\n"
        "except StoreError as error: print(error)"
    )
    run = [sys.executable, "-c", code]
    with Store(tmp_path).lock():
        said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert f"is in use by process {os.getpid()}" in said
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "in"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written"), Store(tmp_path / "file/run").lock():
        pass
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path).write(tmp_path / "file/run/x", b"")


def test_a_run_of_another_study_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.belongs_to("mine")  # an empty folder is anyone's
    store.describe('name = "other"\n', {})
    store.belongs_to("other")
    with pytest.raises(StoreError, match="belongs to the study 'other', not to 'mine'"):
        store.belongs_to("mine")
