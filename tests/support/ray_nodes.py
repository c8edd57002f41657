"""A Ray cluster of several nodes on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lycoris_bench


@contextmanager
def nodes(count: int, cores: int = 1) -> Iterator[Any]:
    """So many nodes of one CPU each, or of so many `cores`; `add_node` and `remove_node` are Ray's
    own. Skips the test where Ray is not installed."""
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    import ray
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH", "")
    source = str(Path(lycoris_bench.__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([source, before])
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(True, head_node_args={"num_cpus": cores, "include_dashboard": False})
    try:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=cores)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ["PYTHONPATH"] = before
