"""Renders the pretraining set: random scenes as one uint8 array, and the scenes themselves."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lycoris_bench.miniature.world.scene import Scene, render, sample_scene

EMPTY_SHARE = 0.04
CHUNK = 500


def scene_of(index: int) -> Scene:
    """The scene of a training picture; held-out scenes use negative indices."""
    return sample_scene(np.random.default_rng([77, index % 2**32]), EMPTY_SHARE)


def _chunk(start: int) -> np.ndarray:
    return np.stack(
        [np.asarray(render(scene_of(i), i % 2**32)) for i in range(start, start + CHUNK)]
    )


def held_out(count: int, empty: float = 0.0) -> tuple[list[Scene], np.ndarray]:
    """Scenes and pictures that pretraining never draws."""
    scenes = [sample_scene(np.random.default_rng([991, i]), empty) for i in range(count)]
    seeds = range(2**31, 2**31 + count)
    return scenes, np.stack([np.asarray(render(s, k)) for s, k in zip(scenes, seeds, strict=True)])


def training_set(work: Path, count: int, workers: int = 2) -> tuple[list[Scene], np.ndarray]:
    """The first `count` (a multiple of 500) training scenes and pictures, rendered once."""
    pictures, scenes = work / f"train-{count}.npy", work / f"train-{count}.json"
    if not scenes.exists():
        with ProcessPoolExecutor(workers) as pool:
            chunks = list(pool.map(_chunk, range(0, count, CHUNK)))
        np.save(work / "partial.npy", np.concatenate(chunks))
        (work / "partial.npy").replace(pictures)
        scenes.write_text(json.dumps([asdict(scene_of(i)) for i in range(count)]))
    records = json.loads(scenes.read_text())
    return [Scene(**r) for r in records], np.load(pictures, mmap_mode="r")
