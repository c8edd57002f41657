"""A study on a Ray cluster of two nodes: the run folder is that of one process, value by value."""

from pathlib import Path

import pandas as pd
import pytest

import lycoris_bench as lb
from lycoris_bench.files import disk
from lycoris_bench.planning import parts
from tests.support.ray_nodes import nodes
from tests.support.world import tiny

pytestmark = pytest.mark.ray

CHECKED = ("images/**/*.png", "checkpoints/**/*.safetensors", "metrics/**/*.parquet")


@pytest.mark.parametrize("kill", [False, True])
def test_the_run_is_that_of_one_process_also_with_a_node_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: bool
) -> None:
    """On the cluster each checkpoint is drawn in several parts."""
    monkeypatch.setattr(parts, "MOST_IMAGES", 2)
    asked = tiny(
        concepts=["toys/bunny"], epochs=[1, 2], seeds=[1, 2],
        algorithms={"lora": {"lr": 2e-3, "dim": 2}},
        sampling={"images": 2, "steps": 2, "prompt_types": ["train", "style"]},
        scoring={"batch_size": 2},
        training={"images_per_class": 2},
    )  # fmt: skip
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    assert not lb.run_stage("run", asked, alone, device="cpu", workers=1).failed
    with nodes(2) as cluster:
        (lost,) = cluster.worker_nodes

        def progress(_: str, steps: float, total: float) -> None:
            trained = any(spread.glob("checkpoints/**/*.safetensors"))
            if kill and trained and lost in cluster.worker_nodes:
                cluster.remove_node(lost, allow_graceful=False)
                cluster.add_node(num_cpus=1)

        outcome = lb.run_stage(
            "run", asked, spread, launcher="ray", address=cluster.address, progress=progress,
        )  # fmt: skip
    assert not outcome.failed and outcome.done == 5 and outcome.reported
    assert not list(spread.rglob("*part-*"))
    same(alone, spread)


def same(one: Path, other: Path) -> None:
    """The values of two run folders are equal, bit by bit."""
    for pattern in CHECKED:
        files = sorted(path.relative_to(one) for path in one.glob(pattern))
        assert files and files == sorted(path.relative_to(other) for path in other.glob(pattern))
        for file in files:
            assert disk.read_bytes(one / file) == disk.read_bytes(other / file), file
    tables = [pd.read_parquet(run / "metrics.parquet") for run in (one, other)]
    pd.testing.assert_frame_equal(*tables)


def test_class_images_are_drawn_by_some_machines_and_read_by_others(tmp_path: Path) -> None:
    asked = tiny(
        concepts=["toys/bunny", "scenes/canal"], epochs=[1], seeds=[1, 2],
        algorithms={"lora": {"lr": 2e-3, "dim": 2}},
        training={"images_per_class": 2, "prior_preservation": {"images": 2}},
    )  # fmt: skip
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    assert not lb.run_stage("train", asked, alone, device="cpu", workers=1).failed
    with nodes(2) as cluster:
        outcome = lb.run_stage("train", asked, spread, launcher="ray", address=cluster.address)
    assert (outcome.done, outcome.failed) == (2, {})
    for pattern in ("class-images/**/*.png", "checkpoints/**/*.safetensors"):
        files = sorted(path.relative_to(alone) for path in alone.glob(pattern))
        assert len(files) >= 2
        for file in files:
            assert disk.read_bytes(alone / file) == disk.read_bytes(spread / file), file
