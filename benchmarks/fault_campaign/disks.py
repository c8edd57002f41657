"""Disks that are full, and run folders that can only be read. Mounting needs root."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fault_campaign.fault import Fault, Skipped
from benchmarks.fault_campaign.kills import moment
from benchmarks.fault_campaign.scene import Scene

SIZES = {"200k": "scoring real images", "700k": "training", "1300k": "drawing and scoring"}


def mounted(*words: str, of: Scene) -> None:
    """Mounts something on the run folder. Skipped: this user may not."""
    done = subprocess.run(["mount", *words, str(of.root)], capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"mounting is not allowed here ({done.stderr.strip()[:80]})")
    of.cleared = lambda: unmounted(of.root)


def unmounted(root: Path) -> None:
    while subprocess.run(["umount", str(root)], capture_output=True).returncode == 0:
        pass


def full(size: str) -> Fault:
    def do(scene: Scene) -> None:
        scene.measure("1 worker")
        scene.root.mkdir()
        mounted("-t", "tmpfs", "-o", f"size={size}", "none", of=scene)
        scene.run()
        assert scene.said[-1].status, f"{size} were enough"
        mounted("-o", "remount,size=64m", of=scene)
        scene.again()

    return Fault("1 worker", f"the disk is full ({size})", SIZES[size], do)


def read_only(after: str) -> Fault:
    def do(scene: Scene) -> None:
        shutil.copytree(scene.stage.snapshot(after), scene.root)
        scene.measure(f"after {after}", after)
        with locked(scene):
            scene.run()
        assert scene.said[-1].status, "it was not noticed"
        scene.again()

    return Fault("1 worker", "the run folder is read-only", f"after: {after}", do)


def read_only_meanwhile(name: str) -> Fault:
    def do(scene: Scene) -> None:
        scene.measure("1 worker")
        scene.await_(moment(name, "pause"))
        command = scene.begin()
        scene.reached()
        with locked(scene):
            scene.go()
            scene.ended(command)
        scene.again()

    return Fault("1 worker", "the run folder becomes read-only", name, do)


@contextlib.contextmanager
def locked(scene: Scene) -> Iterator[None]:
    """Nothing can be written in the run folder."""
    mounted("--bind", str(scene.root), of=scene)
    mounted("-o", "remount,ro,bind", of=scene)
    try:
        yield
    finally:
        unmounted(scene.root)


def faults() -> Iterator[Fault]:
    yield from map(full, SIZES)
    yield from map(read_only, ("train", "generate", "run"))
    yield read_only_meanwhile("drawing a checkpoint")
    yield read_only_meanwhile("scoring")
