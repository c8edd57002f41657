"""How a run was made is kept for every command that worked on it, and never overwritten."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lycoris_bench.analysis import run_tables
from lycoris_bench.run import environment
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.feature_pass import threads_for


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


def test_one_name_of_several_processors_is_several_machines() -> None:
    records = [
        about("run", "2026-02-01", "vm", processor="A", git="1"),
        about("run", "2026-02-02", "vm", processor="B", git="2"),
        about("run", "2026-02-03", "vm", processor="A", git="3"),
        about("run", "2026-02-04", "lap", processor="C"),
    ]
    assert run_tables.machines(records) == {
        "run · vm (A)": "2026-02-03: lycoris-bench run", "vm (A)": {"processor": "A", "git": "3"},
        "run · vm (B)": "2026-02-02: lycoris-bench run", "vm (B)": {"processor": "B", "git": "2"},
        "run · lap": "2026-02-04: lycoris-bench run", "lap": {"processor": "C"},
    }  # fmt: skip


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
        get_device_capability=lambda name: [(9, 0), (8, 0)][int(name.partition(":")[2] or 0)],
    )
    fake = SimpleNamespace(
        cuda=cuda, backends=torch.backends, version=SimpleNamespace(cuda="13.0"),
        get_float32_matmul_precision=torch.get_float32_matmul_precision,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "torch", fake)


def test_plain_cuda_is_every_gpu(two_gpus: None) -> None:
    assert environment.devices("cuda") == ["cuda:0", "cuda:1"]
    assert environment.devices("cuda:1") == ["cuda:1"] and environment.devices("cpu") == ["cpu"]
    assert [environment.default_workers(name) for name in ("cuda", "cuda:1", "mps")] == [2, 1, 1]
    assert environment.device_name("cuda") == "cuda (H100, A100)"
    assert environment.device_name("cuda:1") == "cuda:1 (A100)"


def test_what_decides_numbers_on_a_gpu_is_kept(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is read where Linux tells it."""
    monkeypatch.setattr(environment, "_driver", lambda: "580.82.07")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.backends.cuda.flash_sdp_enabled()
    torch.backends.cuda.enable_flash_sdp(False)
    try:
        found = environment.provenance([], "score", "cuda:1")["cuda"]
    finally:
        torch.backends.cuda.enable_flash_sdp(before)
    assert found == {
        "gpus": ["A100"], "capability": [[8, 0]], "cuda": "13.0",
        "cudnn": torch.backends.cudnn.version(), "driver": "580.82.07",
        "tf32 in convolutions": True, "precision of matrix products": "highest",
        "attention": ["cudnn", "memory-efficient", "math"],
    }  # fmt: skip
    assert "cuda" not in environment.provenance([], "score", "cpu")


def test_threads_and_workers_keep_to_the_cores_that_they_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(3)), raising=False)
    assert (environment.default_workers("cpu"), threads_for("cuda"), threads_for("cpu")) == (
        3,
        3,
        0,
    )
    monkeypatch.delattr("os.sched_getaffinity")
    assert (environment.default_workers("cpu"), threads_for("cuda")) == (8, 16)
