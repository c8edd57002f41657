"""Are copies found, and is nothing else called a copy? In the miniature world, where it is known.

    python -m benchmarks.copying [--studies 200] [--train [--work FOLDER]]

First how often real images of a concept that were not trained on count as copies, against 2 of
m + 1 for m training images; then, of simulated studies whose images are distributed as real ones,
how many a configuration is called a copy in. With --train two checkpoints are trained and judged:
the demo's first one, and one whose whole network is trained on 4 images a class, a hundred epochs.
Both draw the captions of their training images, with little guidance, which shows best what was
learned by heart. Their run folders stay in FOLDER where one is given."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lycoris_bench as lb
from benchmarks.sentences import answered
from lycoris_bench.analysis.comparing.two_way import two_way
from lycoris_bench.data.images import read_image
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.metrics.copy_rate import copy_rate
from lycoris_bench.study import load as studies

WORLD = Path(lb.__file__).parent / "miniature"
ENCODERS = ("miniature-image", "miniature-image-text")
FEW, EPOCHS = 4, 100  # images a class, and how long, of the checkpoint that is to copy
DEFAULT = {"lora": {"lr": 8e-3, "preset": "attn-mlp", "dim": 8, "alpha": 4}}  # the demo's first
COPIER = {"full": {"lr": 1e-3, "preset": "attn-mlp", "capacity": 3}}
WIDTH = 6  # of simulated features; the rate does not depend on it
SIZES = [
    (classes, training, images, seeds)
    for classes in (2, 6, 28)
    for training in (4, 30)
    for images, seeds in ((3, 1), (20, 1), (20, 3))
]
METRICS = ["image_similarity", "nearest_similarity", "copy_quantile", "copy_rate"]


def real_rates(spec: str) -> Iterator[tuple[str, int, float]]:
    """Of each concept of the world its name, the number of training images, and the copy rate of
    the images held out."""
    encoder = encoders.load(spec)

    def features(folder: Path) -> np.ndarray:
        images = [read_image(path) for path in sorted(folder.glob("*.png"))]
        encoded: Any = encoder.encode([encoder.prepare(image) for image in images])
        return np.asarray(encoded.numpy())

    held = sorted({path.parent for path in (WORLD / "heldout").rglob("*.png")})
    for folder in held:
        name = folder.relative_to(WORLD / "heldout")
        training = features(WORLD / "dataset" / name)
        rate = np.mean(copy_rate(features(folder), training))
        yield name.as_posix(), len(training), float(rate)


def false_flags(size: tuple[int, int, int, int], count: int, seed: int = 0) -> float:
    """The share of studies with one configuration, whose images are distributed as 8 held-out and
    the training images, that call it a copy."""
    random = np.random.default_rng(seed)
    classes, training, images, seeds = size
    flagged = 0
    for _ in range(count):
        excess = np.empty((seeds, classes))
        for column in range(classes):
            known = random.normal(size=(training, WIDTH))
            real = np.mean(copy_rate(random.normal(size=(8, WIDTH)), known))
            for row in range(seeds):
                drawn = random.normal(size=(images, WIDTH))
                excess[row, column] = np.mean(copy_rate(drawn, known)) - real
        estimate = two_way(excess)
        flagged += estimate.mean > 0 and estimate.p <= 0.05
    return flagged / count


def few_images(folder: Path, count: int = FEW) -> Path:
    """A dataset of the first images of each toy."""
    shutil.copytree(WORLD / "dataset" / "toys", folder / "toys")
    shutil.copy(WORLD / "dataset" / "concepts.toml", folder)
    for path in (folder / "toys").rglob("*.*"):
        if int(path.stem) > count:
            path.unlink()
    return folder


def study_of(name: str, dataset: str, epochs: int, algorithms: Any) -> studies.Study:
    """The demo's study, on a dataset, for so many epochs and with these algorithms."""
    demo = studies.load("package:configs/demo.toml").settings.model_dump(mode="json")
    return studies.parse({
        **demo, "name": name, "dataset": dataset, "epochs": [epochs], "algorithms": algorithms,
        "sampling": {
            **demo["sampling"], "prompt_types": ["train"], "images": 8, "steps": 20,
            "guidance": 2.0, "precision": "fp32",
        },
        "scoring": {**demo["scoring"], "encoders": list(ENCODERS), "metrics": METRICS},
    })  # fmt: skip


def trained(work: Path, epochs: int = EPOCHS) -> Iterator[tuple[str, Any]]:
    """The demo's checkpoint and the one that is to copy, each as a run folder."""
    data = work / "few-images"
    made = data if data.exists() else few_images(data)
    for name, dataset, length, algorithms in (
        ("default", "package:miniature/dataset", 16, DEFAULT),
        ("copied", str(made), epochs, COPIER),
    ):
        lb.run_stage("run", study_of(name, dataset, length, algorithms), work / name)
        yield name, lb.open_run(work / name)


def judged(run: Any) -> Iterator[str]:
    """What the analysis says of a run's copies."""
    table = run.table("copies")
    of_all = table[(table["category"] == "all categories") & (table["unit"] == "")]
    for row in of_all.itertuples():
        yield (
            f"{row.encoder:<22} rate {row.rate:.2f}, of held-out images {row.real:.2f}, excess "
            f"{row.excess:+.2f} ({row.low:+.2f} to {row.high:+.2f}), p {row.p:.4f}: {row.verdict}"
        )
    yield from (line for line in run.findings["sentences"] if "training images:" in line)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    for spec in ENCODERS:
        rows = list(real_rates(spec))
        expected = float(np.mean([2 / (count + 1) for _, count, _ in rows]))
        rates = np.array([rate for _, _, rate in rows])
        error = rates.std(ddof=1) / len(rates) ** 0.5
        print(f"{spec}: held-out images count as copies in {rates.mean():.3f} ± {error:.3f} of "
              f"{len(rows)} concepts' images; 2 / (m + 1) is {expected:.3f}")  # fmt: skip
    print("classes, training images, images, seeds: studies that call an honest one a copy")
    for size in SIZES:
        print(f"{size}: {100 * false_flags(size, asked.studies):.1f} %", flush=True)
    if asked.train:
        with tempfile.TemporaryDirectory() as own:
            for name, run in trained(asked.work or Path(own)):
                print(f"{name}:", *judged(run), sep="\n  ")


if __name__ == "__main__":
    sys.exit(answered(main))
