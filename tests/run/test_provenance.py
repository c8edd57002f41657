"""How a run was made is kept for every command that worked on it, and never overwritten."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.run import environment
from lycoris_bench.run.store import Store


def about(stage: str, time: str, host: str, **more: str) -> dict[str, object]:
    return {"stage": stage, "time": time, "host": host, "command": ["lycoris-bench", stage], **more}


def test_a_laptop_that_analyzes_leaves_the_machine_that_trained(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_json(tmp_path / "provenance.json", {"time": "2026-01-01", "processor": "old"})
    trained = about("train", "2026-02-01T10:00:00Z", "gpu-1", device="cuda (H100)", platform="A")
    for record in (trained, trained, about("analyze", "2026-02-03T10:00:00Z", "lap/top")):
        store.describe('name = "mine"', record)
    names = sorted(path.name for path in (tmp_path / "provenance").iterdir())
    assert names == [
        "analyze-2026-02-03T100000Z-lap%2Ftop.json",
        "train-2026-02-01T100000Z-gpu-1-2.json",  # in the same second
        "train-2026-02-01T100000Z-gpu-1.json",
    ]
    records = store.provenance()
    assert [record.get("stage") for record in records] == [None, "train", "train", "analyze"]
    assert records[1] == trained
    shown = run_tables.machines(records)
    assert shown["processor"] == "old"
    assert shown["train · gpu-1"] == "2026-02-01T10:00:00Z on cuda (H100): lycoris-bench train"
    assert shown["analyze · lap/top"].startswith("2026-02-03") and shown["gpu-1"] == {
        "platform": "A"
    }


@pytest.mark.parametrize("content", ["[]", "{", "7"])
def test_what_cannot_be_read_is_left_out(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path)
    store.write(tmp_path / "provenance/train-1-x.json", content)
    assert store.provenance() == []


def test_a_stage_says_what_it_ran_on() -> None:
    found = environment.provenance(["lycoris-bench", "train"], "train", "cpu")
    assert found["stage"] == "train" and found["device"].startswith("cpu")
    assert found["host"] and "T" in found["time"]
    assert environment.trained_on("cpu")["versions"]["torch"] == found["packages"]["torch"]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["H100", "A100"]
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        get_device_name=lambda name: names[int(name.partition(":")[2] or 0)],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))


def test_plain_cuda_is_every_gpu(two_gpus: None) -> None:
    assert environment.devices("cuda") == ["cuda:0", "cuda:1"]
    assert environment.devices("cuda:1") == ["cuda:1"] and environment.devices("cpu") == ["cpu"]
    assert [environment.default_workers(name) for name in ("cuda", "cuda:1", "mps")] == [2, 1, 1]
    assert environment.device_name("cuda") == "cuda (H100, A100)"
    assert environment.device_name("cuda:1") == "cuda:1 (A100)"
