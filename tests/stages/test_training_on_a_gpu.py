"""What the training stage says and decides for a GPU, without one: the device is named "cuda", and
no network is trained."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.outcome import Options
from lycoris_bench.run.store import Store
from lycoris_bench.stages import fine_tuning as stage
from lycoris_bench.stages import train
from tests.support.world import tiny


@pytest.fixture(scope="module")
def asked(quick_base: str) -> Plan:
    optimizer = {"optimizer": "adamw8bit"}
    return plan(tiny(base_model=quick_base, concepts=["toys/bunny"], training=optimizer))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each training is called with; the networks lie on the CPU."""
    calls: list[dict[str, Any]] = []
    load = Backbone.load
    monkeypatch.setattr(stage.Backbone, "load", lambda path, device: load(path))
    monkeypatch.setattr(stage.loop, "train", lambda *_, **given: calls.append(given))
    monkeypatch.setattr(stage, "_latents", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    stage._backbone.cache_clear()
    return calls


def test_a_missing_bitsandbytes_is_said_before_anything_is_loaded(
    asked: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    monkeypatch.setattr(train, "train_run", lambda *_: pytest.fail("begun"))
    with pytest.raises(BenchError, match="pip install bitsandbytes"):
        train.train(asked, Store(tmp_path), Options(device="cuda"))


def test_a_state_with_the_moments_of_one_optimizer_is_not_that_of_another(
    asked: Plan, tmp_path: Path, trained: list[dict[str, Any]]
) -> None:
    lacking, store = asked.by_run()[0], Store(tmp_path)
    for device in ("cpu", "cuda:0", "cuda:1"):
        stage.train_run(asked, store, lacking, device)
    cpu, first, second = (call["identity"] for call in trained)
    assert cpu != first == second
    assert cpu.startswith(asked.run_uid(lacking[0]))


def test_too_little_memory_says_what_to_lower(
    asked: Plan, tmp_path: Path, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(stage.loop, "train", full)
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    with pytest.raises(BenchError, match=r"cuda:0 is too small; lower training.batch_size") as said:
        stage.train_run(asked, Store(tmp_path), asked.by_run()[0], "cuda:0")
    assert emptied and said.value.__context__ is None  # which would keep the tensors


def test_a_repeatable_training_is_one_from_its_start_to_its_end(
    tmp_path: Path, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = plan(tiny(concepts=["toys/bunny"]))
    asked = plan(tiny(concepts=["toys/bunny"], training={"deterministic": True}))
    assert asked.run_uid(asked.trained[0]) == plain.run_uid(plain.trained[0])
    seen: list[bool] = []
    load = stage._backbone
    monkeypatch.setattr(stage, "_backbone", lambda *given: (
        seen.append(torch.are_deterministic_algorithms_enabled()), load(*given))[1])  # fmt: skip
    for one in (plain, asked):
        stage.train_run(one, Store(tmp_path), one.by_run()[0], "cpu")
    assert seen == [False, True] and not torch.are_deterministic_algorithms_enabled()
