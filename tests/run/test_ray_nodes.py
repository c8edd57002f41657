"""Nodes of a Ray cluster that come and go while items run."""

import os
import time
from pathlib import Path

import pytest

from lycoris_bench.run import executor
from lycoris_bench.run.cluster import Cluster
from lycoris_bench.run.executor import Item
from tests.support.ray_nodes import nodes

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def wait_for(place: Path, device: str) -> str:
    place.with_name(f"begun-{os.getpid()}").touch()
    while not place.exists():
        time.sleep(0.05)
    return "done"


def test_a_node_joins_late_and_another_is_lost(tmp_path: Path) -> None:
    with nodes(2) as cluster:
        lost = next(iter(cluster.worker_nodes))
        used = Cluster(cluster.address)

        def progress(_: str, steps: float, total: float) -> None:
            """Once both nodes work, takes one away; once that is noticed, adds two."""
            if len(list(tmp_path.glob("begun-*"))) == 2 and lost in cluster.worker_nodes:
                cluster.remove_node(lost, allow_graceful=False)
            if used.notes and not (tmp_path / "go").exists():
                cluster.add_node(num_cpus=1)
                cluster.add_node(num_cpus=1)
                (tmp_path / "go").touch()

        items = [Item(str(k), wait_for, (tmp_path / "go",)) for k in range(4)]
        each = executor.each(
            items, workers=0, total=4, what="wait", devices=["cpu"], progress=progress, cluster=used
        )
        found = {name: error or made for name, made, error in each}
    assert found == {str(k): "done" for k in range(4)}
    assert "was lost while it ran" in used.notes[0]
