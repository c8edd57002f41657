"""Machines of a Ray cluster that are lost, join late, hang, or cannot do the work."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.fault_campaign.fault import Fault, Skipped
from benchmarks.fault_campaign.kills import (
    OF_WORKERS,
    by_hand,
    kill,
    lives,
    moment,
    struck,
    terminate,
)
from benchmarks.fault_campaign.moments import Moment
from benchmarks.fault_campaign.scene import Command, Scene

SILENCE = 30.0  # seconds without a sign of life, in place of two minutes
WORKERS = 2  # nodes of one CPU each; the head, which the command is connected to, has none
WHERE = "Ray, 3 nodes"
A_PART = "scoring a part"
AT = (*OF_WORKERS, A_PART)


@dataclass
class Nodes:
    """A Ray cluster on this machine: a head, and nodes that come and go."""

    cluster: Any

    @classmethod
    def started(cls) -> "Nodes":
        try:
            from ray.cluster_utils import Cluster
        except ImportError:
            raise Skipped("Ray is not installed") from None
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        # Ray's workers yield to all other work by default: beside some, they would seem to hang.
        os.environ.setdefault("RAY_worker_niceness", "0")
        made = cls(Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False}))
        made.restore()
        return made

    def restore(self, count: int = WORKERS) -> None:
        """Has so many nodes that work."""
        there = list(self.cluster.worker_nodes)
        for node in there[count:]:
            self.cluster.remove_node(node, allow_graceful=False)
        for _ in range(count - len(there)):
            self.cluster.add_node(num_cpus=1)

    def of(self, process: int) -> Any:
        """The node that a worker's process belongs to."""
        import psutil

        above = {parent.pid for parent in psutil.Process(process).parents()}
        return next(n for n in self.cluster.worker_nodes if self.raylet(n) in above)

    def raylet(self, node: Any) -> int:
        (started,) = node.all_processes["raylet"]
        pid: int = started.process.pid
        return pid

    def lose(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self.cluster.shutdown()


def lose_node(scene: Scene, _: Command, process: int) -> None:
    scene.nodes.lose(scene.nodes.of(process))


def lose_all(scene: Scene, _: Command, process: int) -> None:
    """All machines are lost; one joins after a while."""
    scene.nodes.restore(0)
    time.sleep(3)
    scene.nodes.restore(1)


def add_node(scene: Scene, _: Command, process: int) -> str | None:
    """A second machine joins, and works."""
    scene.nodes.restore(2)
    scene.go()
    return None


def stop_raylet(scene: Scene, _: Command, process: int) -> None:
    """As a network that is gone for a while: the machine's processes say nothing."""
    pids = [scene.nodes.raylet(scene.nodes.of(process)), process]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(8)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def wait_until_lost(scene: Scene, command: Command, process: int) -> str | None:
    """The command gives the worker up, whose process does not stay behind."""
    return lives(process, 4 * SILENCE)


def wake(scene: Scene, _: Command, process: int) -> None:
    time.sleep(5)
    os.kill(process, signal.SIGCONT)


def on(
    fault: Fault, nodes: int = WORKERS, silence: float | None = None, where: str = WHERE
) -> Fault:
    """The fault, on the campaign's cluster."""

    def do(scene: Scene) -> str | None:
        join(scene, nodes)
        scene.measure(where)
        scene.silence = silence
        return fault.do(scene)

    return Fault(where, fault.what, fault.moment, do)


def join(scene: Scene, nodes: int = WORKERS) -> None:
    """The commands run on the campaign's cluster."""
    scene.nodes = scene.stage.nodes()
    scene.nodes.restore(nodes)
    scene.options = ("--launcher", "ray", "--address", scene.nodes.cluster.address)


def lose_head(scene: Scene) -> None:
    """The process that knows the cluster is killed; the command is typed again on another one."""
    scene.await_(moment("training", "pause"))
    command = scene.begin()
    scene.reached()
    scene.nodes.cluster.head_node.kill_gcs_server()
    scene.go()
    scene.ended(command)
    scene.stage.without_nodes()
    join(scene)
    scene.again()


def thrice(scene: Scene) -> None:
    """A worker is killed each time that it begins the same training."""
    scene.await_(Moment(r"begin lora/seed-1$", "SIGKILL", times=3))
    scene.run()
    scene.reached(2)
    scene.again()


def faults() -> Iterator[Fault]:
    for name in AT:
        yield on(struck(name, "SIGKILL", WHERE, "SIGKILL of a worker"))
    for name in AT:
        yield on(by_hand(name, lose_node, WHERE, "a node is lost (its raylet, SIGKILL)"))
    yield on(Fault(WHERE, "SIGKILL of three workers", "one training", thrice))
    yield on(by_hand("training", lose_all, WHERE, "all nodes are lost; one joins later"))
    yield on(
        by_hand("drawing the base model", add_node, WHERE, "a node joins late"), 1,
        where="Ray, 2 nodes",
    )  # fmt: skip
    for name in ("training", "drawing a checkpoint"):
        yield on(by_hand(name, kill, WHERE, "SIGKILL of the command"))
        yield on(by_hand(name, wait_until_lost, WHERE, "a worker hangs", "SIGSTOP"), 2, SILENCE)
        yield on(struck(name, "MemoryError", WHERE, "a worker is out of memory"))
    yield on(struck("analysis", "SIGKILL", WHERE, "SIGKILL of the command"))
    yield on(by_hand("drawing a checkpoint", terminate, WHERE, "SIGTERM of the command"))
    yield on(struck("drawing a checkpoint", "ENOSPC", WHERE, "a worker's disk is full"))
    yield on(struck("training", "OutOfMemoryError", WHERE, "a worker is out of the GPU's memory"))
    yield on(by_hand("training", wake, WHERE, "a worker is stopped for 5 s", "SIGSTOP"))
    yield on(by_hand("drawing a checkpoint", stop_raylet, WHERE, "a node is silent for 8 s"))
    yield on(Fault(WHERE, "the cluster's head is lost (SIGKILL)", "training", lose_head))
