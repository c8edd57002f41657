"""Trains the concept oracle on fresh pictures, and measures it.

`python -m lycoris_bench.miniature.pretraining.concept_oracle --work DIR [--measure]`
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lycoris_bench.miniature.concepts.build import picture
from lycoris_bench.miniature.concepts.oracle import (
    ConceptOracle,
    labels,
    load_concept_oracle,
    shows,
)
from lycoris_bench.miniature.concepts.sights import NONE, Sight, render_sight, sample_sight
from lycoris_bench.miniature.concepts.table import CONCEPTS
from lycoris_bench.miniature.networks import WEIGHTS
from lycoris_bench.miniature.pretraining.encoders import roughen, save_half, to_pixels
from lycoris_bench.miniature.pretraining.fitting import Schedule, fit, generators

SCHEDULE = Schedule(steps=5000, rate=3e-3, seed=25, ema=0.99)
PICTURES, CHUNK, BATCH = 32_000, 500, 64
FRESH = 10_000  # indices of a concept's pictures from here on are in no file
TESTED = 40  # pictures of each concept
HELD = 1000  # pictures of anything


def sight_of(index: int) -> Sight:
    """The sight of training picture number `index`; negative ones are held out."""
    return sample_sight(np.random.default_rng([88, index % 2**32]))


def _chunk(start: int) -> np.ndarray:
    return np.stack([render_sight(sight_of(k), k % 2**32) for k in range(start, start + CHUNK)])


def sights(work: Path, count: int = PICTURES, workers: int = 2) -> np.ndarray:
    """The training pictures, rendered once: uint8 (count, 64, 64, 3)."""
    path = work / f"sights-{count}.npy"
    if not path.exists():
        with ProcessPoolExecutor(workers) as pool:
            chunks = list(pool.map(_chunk, range(0, count, CHUNK)))
        np.save(work / "part.npy", np.concatenate(chunks))
        (work / "part.npy").replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))


def train(work: Path, out: Path = WEIGHTS / "concept-oracle.safetensors") -> None:
    """Classification of all truths; resumable."""
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(6)
    pictures, truth = sights(work), labels([sight_of(k) for k in range(PICTURES)])
    oracle = ConceptOracle().to(memory_format=torch.channels_last)

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(SCHEDULE.seed, step)
        index = rng.integers(0, PICTURES, BATCH)
        logits = oracle.train()(roughen(to_pixels(pictures[index]), generator))
        losses = [F.cross_entropy(v, truth[k][index]) for k, v in logits.items()]
        return torch.stack([loss for loss in losses if loss.isfinite()]).sum()

    save_half(fit("concept-oracle", oracle, loss_of, SCHEDULE, work), out)


def measure(oracle: ConceptOracle) -> dict[str, float]:
    """Accuracy of each truth on held-out sights; the share of fresh pictures of the concepts, drawn
    as the dataset's are, in which their concept is seen; and the share of held-out pictures of
    anyone else in which a concept is."""
    held = [sight_of(-1 - k) for k in range(HELD)]
    drawn = np.stack([render_sight(seen, 2**31 + k) for k, seen in enumerate(held)])
    read = oracle.read(to_pixels(drawn))
    result = {}
    for name in read[0]:
        known = [(r[name], getattr(s, name)) for r, s in zip(read, held, strict=True)]
        known = [(guess, true) for guess, true in known if true]
        result[name] = sum(guess == true for guess, true in known) / len(known)
    anyone = [r for r, s in zip(read, held, strict=True) if s.identity == NONE]
    result["a concept seen where there is none"] = sum(r["identity"] != NONE for r in anyone) / len(
        anyone
    )
    right = {}
    for concept in CONCEPTS:
        fresh = [np.array(picture(concept, FRESH + k).image) for k in range(TESTED)]  # of any shape
        found = [oracle.read(to_pixels(pixels[None]))[0] for pixels in fresh]
        right[concept.key] = sum(shows(r, concept) for r in found) / TESTED
    result["concepts"] = float(np.mean(list(right.values())))
    result["the least seen concept"] = min(right.values())
    return result


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and caches")
    parser.add_argument("--measure", action="store_true", help="the shipped oracle; train nothing")
    given = parser.parse_args()
    if not given.measure:
        train(given.work)
    for name, value in measure(load_concept_oracle()).items():
        print(f"{name:<36} {value:.3f}")


if __name__ == "__main__":
    main()
