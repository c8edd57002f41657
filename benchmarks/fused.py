"""What does scoring cost where images are encoded as they are drawn?

    python -m benchmarks.fused [--images 12] [--steps 15] [--rounds 3]

One checkpoint of the miniature world is drawn and stored, then drawn, scored and stored by the
work of `run`, then drawn and scored by the two stages one after the other; alternated, medians of
processor seconds of one thread. The rows of the two ways are compared, value by value."""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable

import pandas as pd
import torch

from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.passing import remove_images
from lycoris_bench.run.store import Store
from lycoris_bench.stages.generate import draw
from lycoris_bench.stages.run import draw_and_score
from lycoris_bench.stages.score import score_one
from lycoris_bench.stages.train import train_run
from lycoris_bench.study.load import load
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES

STUDY = "package:configs/miniature.toml"


def main() -> None:
    """Prints the seconds of each way and their ratio to drawing alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=12, help="of a set")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    changes = ["concepts=['toys/*']", "epochs=[1]", "seeds=[23]", "training.images_per_class=4",
               f"sampling.images={given.images}", f"sampling.steps={given.steps}"]  # fmt: skip
    asked = plan(load(STUDY, changes), limit=1)
    with tempfile.TemporaryDirectory() as folder:
        compare(asked, Store(folder), given.rounds)


def compare(asked: Plan, store: Store, rounds: int) -> None:
    """Draws the first checkpoint again and again, in three ways."""
    checkpoint = asked.trained[0]
    train_run(asked, store, [checkpoint], "cpu")
    draw(asked, store, BASE_CHECKPOINT, 0, "cpu")
    score_one(asked, store, REAL_IMAGES, "cpu")
    score_one(asked, store, BASE_CHECKPOINT, "cpu")
    ways: dict[str, Callable[[], object]] = {
        "draw": lambda: draw(asked, store, checkpoint, 0, "cpu"),
        "draw and score at once": lambda: draw_and_score(
            asked, store, checkpoint, None, "all", 0, "cpu"
        ),
        "draw, then score": lambda: (
            draw(asked, store, checkpoint, 0, "cpu"), score_one(asked, store, checkpoint, "cpu")
        ),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    tables: dict[str, pd.DataFrame] = {}
    for round_ in range(rounds + 1):  # the first warms up
        for name, way in ways.items():
            remove_images(store, checkpoint)
            shutil.rmtree(store.metrics(store.branch(checkpoint)).parent, ignore_errors=True)
            began = time.process_time()
            way()
            if round_:
                seconds[name].append(time.process_time() - began)
            if found := store.frame(store.metrics(store.branch(checkpoint))):
                tables[name] = found[0]
    alone = statistics.median(seconds["draw"])
    sampling = asked.study.settings.sampling
    print(f"torch {torch.__version__}, one thread; {asked.image_count(checkpoint)} images of "
          f"{sampling.width} x {sampling.height}, {sampling.steps} steps, "
          f"{len(asked.study.settings.scoring.encoders)} encoders")  # fmt: skip
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"{name:<23} {middle:6.2f} s of processor time, {middle / alone:.3f} of drawing")
    one, other = tables.values()
    print(f"{len(one)} rows, equal value by value: {one.equals(other)}")


if __name__ == "__main__":
    main()
