"""Files of a run folder that are lost, cut short, or have a flipped bit, between two commands."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.fault_campaign.fault import Fault
from benchmarks.fault_campaign.scene import Scene


def lost(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flipped(path: Path, share: float = 0.7) -> None:
    """As a disk or a memory flips it: size and time stay as they were."""
    time = path.stat().st_mtime_ns
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 16
    path.write_bytes(data)
    os.utime(path, ns=(time, time))


def touched(path: Path) -> None:
    """A flipped bit, by a program: the time is a new one."""
    time = path.stat().st_mtime_ns + 10**9
    flipped(path)
    os.utime(path, ns=(time, time))


WHAT = {lost: "deleted", cut: "cut short", flipped: "a flipped bit",
        touched: "a flipped bit, a new time"}  # fmt: skip
LORA = "lora/seed-1/epoch-001"
FILES = {
    "weights": ("train", f"checkpoints/{LORA}.safetensors", [lost, cut, flipped, touched]),
    "their card": ("train", f"checkpoints/{LORA}.json", [lost, cut, flipped]),
    "a training state": ("half", "checkpoints/*/seed-1/state.safetensors", [lost, flipped]),
    "an image": ("generate", f"images/{LORA}/toys/bunny/style/00001.png", [lost, cut, flipped]),
    "a base image": ("generate", "images/base/toys/bunny/style/00000.png", [lost, flipped]),
    "a manifest of images": ("generate", f"images/{LORA}/manifest.json", [lost, flipped]),
    "features": ("features", f"features/{LORA}/*.safetensors", [lost, flipped]),
    "features of real images": ("features", "features/real/*.safetensors", [lost, flipped]),
    "SHA-256 of encoders": ("features", "features/weights.json", [lost, flipped]),
    "a table of rows": ("run", f"metrics/{LORA}.parquet", [lost, cut, flipped, touched]),
    "a table of images' rows": ("run", f"metrics/{LORA}-images.parquet", [lost, cut, flipped]),
    "what rows were scored with": ("run", f"metrics/{LORA}.json", [lost, cut, flipped]),
    "metrics/manifest.json": ("run", "metrics/manifest.json", [lost, flipped]),
    "metrics.parquet": ("run", "metrics.parquet", [lost, cut, flipped, touched]),
    "metrics.csv": ("run", "metrics.csv", [lost, flipped]),
    "scores": ("run", "analysis/scores.parquet", [lost, flipped]),
    "findings": ("run", "analysis/findings.json", [lost, flipped]),
    "the report": ("run", "report/index.html", [lost, flipped]),
    "study.toml": ("generate", "study.toml", [lost, cut, flipped]),
    "passing.json": ("some", "passing.json", [lost, flipped]),
    "identities.json": ("run", "identities.json", [lost, flipped]),
    "a record of provenance": ("run", "provenance/*.json", [lost, flipped]),
}  # fmt: skip
"""Kind -> the stage after which it is damaged ("half": in a training; "features": what is scored,
without its rows), the file, and the damages."""
STAYS = {
    "a record of provenance": "it is a record of an earlier command",
    "passing.json": "nothing that it listed is removed",
}
"""Kinds that no value depends on."""


def damaged(after: str, pattern: str, damage: Callable[[Path], None], kind: str) -> Fault:
    def do(scene: Scene) -> str | None:
        shutil.copytree(scene.stage.snapshot(after), scene.root)
        scene.keep = "sample" if after == "some" else "all"
        path = next(iter(sorted(scene.root.glob(pattern))), None)
        assert path, f"there is no {pattern}"
        scene.measure(f"after {after}", after)
        damage(path)
        left = path.read_bytes() if path.exists() else None
        scene.again()
        if kind == "a training state":  # it ends with its training
            return None
        now = path.read_bytes() if path.exists() else None
        if now != left:
            return "made anew"
        if kind in STAYS:
            return f"stays so: {STAYS[kind]}"
        return "BROKEN: it stays so"

    said = {
        "half": "a killed training",
        "some": "a killed run",
        "features": "score, the rows removed",
    }
    return Fault("1 worker", f"{kind}: {WHAT[damage]}", f"after: {said.get(after, after)}", do)


def faults() -> Iterator[Fault]:
    for kind, (after, pattern, damages) in FILES.items():
        yield from map(partial(_of, after, pattern, kind), damages)


def _of(after: str, pattern: str, kind: str, damage: Callable[[Path], None]) -> Fault:
    return damaged(after, pattern, damage, kind)
