"""benchmarks/faults.py: what it counts is counted right, and some of its faults change no value."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import faults
from benchmarks.fault_campaign import damage, moments
from benchmarks.fault_campaign.moments import Moment
from benchmarks.fault_campaign.values import Changes
from lycoris_bench.files import parquet

LOCAL = [
    "1 worker: SIGKILL of the command: weights without their card",
    "1 worker: SIGKILL of the command: joining the tables",
    "1 worker: a training state: a flipped bit: after",
    "1 worker: a table of rows: a flipped bit: after",
    "1 worker: metrics.parquet: a flipped bit: after",
    "1 worker: study.toml: deleted",
    "2 workers: SIGKILL of a worker: drawing a checkpoint",
]


def test_each_fault_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in faults.faults()]
    assert len(set(names)) == len(names) > 40
    for words in LOCAL:
        assert sum(words in name for name in names) == 1, words


def test_a_moment_is_counted_over_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Path] = []
    monkeypatch.setitem(moments.ACTIONS, "note", done.append)
    Moment("wrote .*png$", "note", first=1, times=2).plan(tmp_path)
    for event in ("wrote a.png", "wrote a.json", "wrote b.png", "wrote c.png", "wrote d.png"):
        moments.happened(tmp_path, event)
    assert len(done) == 2 and len(list(tmp_path.glob("hit-*"))) == 4
    moments.forget(tmp_path)
    moments.happened(tmp_path, "wrote e.png")
    assert not list(tmp_path.iterdir())


def test_what_differs_is_counted(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    frame = pd.DataFrame({"name": ["a", "b", None], "value": [1.0, 2.0, float("nan")]})
    for root in (one, other):
        (root / "images").mkdir(parents=True)
        for name in "ab":
            (root / f"images/{name}.png").write_bytes(b"image")
        (root / "metrics.parquet").write_bytes(parquet.to_bytes(frame, "1"))
    assert Changes.between(one, other) == Changes(0, 0, 0, 0, 0)
    (other / "images/a.png").write_bytes(b"imagf")
    (other / "images/b.png").unlink()
    (other / "c.1.part").touch()
    changed = frame.assign(value=[1.0, 2.0000000000000004, float("nan")])
    (other / "metrics.parquet").write_bytes(parquet.to_bytes(changed, "1"))
    assert Changes.between(one, other) == Changes(1, 2, 0, 0, 1)
    (other / "metrics.parquet").unlink()
    assert Changes.between(one, other).rows == 3


def test_a_flipped_bit_is_one_bit_and_leaves_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(list(range(40))))
    before, time = path.read_bytes(), path.stat().st_mtime_ns
    damage.flipped(path)
    after = path.read_bytes()
    assert path.stat().st_mtime_ns == time
    assert [(a ^ b).bit_count() for a, b in zip(before, after, strict=True) if a != b] == [1]
    damage.touched(path)
    assert path.read_bytes() == before and path.stat().st_mtime_ns != time


def rows(printed: str) -> list[list[str]]:
    """The cells of each fault's row."""
    lines = [line for line in printed.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[1:]]


@pytest.mark.slow
def test_faults_on_this_machine_change_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    status = faults.main([word for name in LOCAL for word in ("--only", name)])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert [row[3] for row in rows(printed)] == ["0 / 0 / 0"] * len(LOCAL)


@pytest.mark.ray
@pytest.mark.slow
def test_a_lost_node_changes_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    words = "Ray, 3 nodes: a node is lost (its raylet, SIGKILL): drawing a checkpoint"
    status = faults.main(["--only", words])
    printed = capsys.readouterr().out
    assert status == 0, printed
    ((_, _, _, changed, _, statuses, said),) = rows(printed)
    assert (changed, statuses) == ("0 / 0 / 0", "0, 0")
    assert "was lost while it ran" in said
