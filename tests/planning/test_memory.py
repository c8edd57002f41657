"""No more workers than fit into the memory."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from lycoris_bench.planning import memory, time_and_disk
from lycoris_bench.planning.plan import plan
from lycoris_bench.run import environment
from lycoris_bench.study.places import locate
from tests.support.world import tiny

BASE = locate("package:miniature/weights/base", Path())
GB = 1 << 30


def numbers() -> int:
    """Parameters of the miniature base model, by loading all of it."""
    files = [file for file in BASE.rglob("*.safetensors") if file.parent != BASE]
    return sum(tensor.numel() for file in files for tensor in load_file(file).values())


def test_what_a_worker_holds() -> None:
    asked = plan(tiny(algorithms={"full": {"lr": 1e-6}, "lora": {"lr": 1e-4, "dim": 4}}))
    model = numbers()
    assert memory.needed(asked, "generate") - memory.MARGIN == 8 * model
    half = plan(tiny(sampling={"precision": "bf16"}))
    assert memory.needed(half, "generate") - memory.MARGIN == 4 * model
    trained = memory.needed(asked, "train") - memory.MARGIN - 4 * model
    counts = time_and_disk.parameters(asked)
    assert counts is not None and counts["full"] > counts["lora"]
    assert trained == 16 * counts["full"]  # weight, gradient and two moments of 4 bytes
    views = ["miniature-image:letterbox", "miniature-image:crop"]
    one, two = (
        memory.needed(plan(tiny(scoring={"encoders": e})), "score") for e in (views[:1], views)
    )
    assert one == two  # one network, whatever the resizings


def test_workers_are_as_many_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plan(tiny())
    monkeypatch.setattr(environment, "default_workers", lambda device: 8 if device == "cpu" else 1)
    monkeypatch.setattr(memory, "needed", lambda *_: 4 * GB)
    for free, fit in ((100 * GB, 8), (13 * GB, 3), (1 * GB, 1)):
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        assert memory.workers(asked, "score", "cpu") == fit
    assert memory.workers(asked, "score", "cuda") == 1


def test_a_container_may_have_less_than_its_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "LIMIT", tmp_path / "max")
    monkeypatch.setattr(memory, "USED", tmp_path / "current")
    machine = memory.available()
    assert machine > 0
    (tmp_path / "current").write_text("100\n")
    for limit, free in (("1100\n", 1000), ("max\n", None)):
        (tmp_path / "max").write_text(limit)
        assert memory.available() == free if free else memory.available() > 10_000
