"""Where does the time of `analyze` go, and how much memory does it take?

    python -m benchmarks.analysis [RUN]

Without RUN, of a study as large as the paper's with its full grid of encoders and resizings: 234
checkpoints, 39 concepts and 170 views are 1.55 million rows of random numbers. The table is read,
analyzed and stored as `lycoris-bench analyze` does. Parts are seconds of CPU of the thread that
they run in; the models' run beside the others."""

import argparse
import functools
import hashlib
import importlib
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from lycoris_bench.analysis import run_tables
from lycoris_bench.files import parquet
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import Study, load
from lycoris_bench.study.records import BASE, REAL, MetricRow

STUDY = "package:configs/paper.toml"
EYES = [
    *product(("dinov2-l", "clip-l-datacomp"), ("letterbox", "crop", "stretch")),
    *product(("convnextv2-l",), ("scale", "letterbox", "crop")),
]
KINDS = ("train", "trigger", "alter", "agnostic")
VIEWS = [  # metric, encoder and resizing, prompt type
    *product(("image_similarity", "centroid_distance"), EYES, KINDS[:3]),
    *product(("vendi", "dissimilarity", "variance"), EYES, KINDS),
    *product(("text_similarity",), EYES[3:6], ("alter", "trigger")),
    ("style_loss", ("vgg19", "scale"), "style"),
    ("style_loss_to_dataset", ("vgg19", "scale"), "train"),
]
LOWER = ("centroid_distance", "style_loss", "style_loss_to_dataset")
CLASSES = {"anime": 8, "movie characters": 8, "scenes": 8, "stuffed toys": 8, "styles": 7}
PARTS = {  # function -> the words for it
    "run.store.Store.frame": "read",
    "analysis.columns.check": "check",
    "analysis.ranks.rank_scores": "ranks",
    "analysis.aggregation.by_checkpoint": "means of checkpoints",
    "analysis.aggregation.by_configuration": "means of configurations",
    "analysis.correlation.correlations": "correlation",
    "analysis.pipeline.findings": "findings",
    "analysis.pipeline.judge": "claims",
    "analysis.report.page.render": "page",
    "analysis.importance._fitted": "models",
    "analysis.importance._explain": "SHAP",
    "run.store.Store.put_frame": "store",
}


def table(study: Study, views: int = len(VIEWS)) -> pd.DataFrame:
    """A number of each view for each checkpoint, the base model and real images, of each class: the
    sum of what its configuration, seed, class and configuration in the class do, and noise."""
    random = np.random.default_rng(0)
    drawn = pd.DataFrame([
        {"configuration": c.configuration.name, "algorithm": c.configuration.algorithm,
         "seed": c.seed, "epoch": c.epoch}
        for c in study.checkpoints if not c.is_base
    ])  # fmt: skip
    outside = pd.DataFrame({"configuration": [BASE, REAL], "algorithm": [BASE, REAL]})
    checkpoints = pd.concat([drawn, outside], ignore_index=True).assign(strength=1.0)
    checkpoints = checkpoints.astype({"seed": "Int64", "epoch": "Int64"})
    concepts = pd.DataFrame(
        [(category, f"class {k}", "") for category, n in CLASSES.items() for k in range(n)],
        columns=["category", "class", "subclass"],
    )
    seen = pd.DataFrame(
        [(metric, *eye, kind) for metric, eye, kind in VIEWS[:views]],
        columns=["metric", "encoder", "resize", "prompt_type"],
    )
    at, of, through = (
        k.ravel() for k in np.indices((len(checkpoints), len(concepts), len(seen)))
    )  # fmt: skip
    groups = concepts.merge(seen, how="cross")
    marks = [hashlib.sha256(" ".join(row).encode()).hexdigest()[:16] for row in groups.to_numpy()]
    drawing = [json.dumps({"steps": 25, "prompts": hashlib.sha256(mark.encode()).hexdigest()})
               for mark in marks]  # fmt: skip
    configuration = pd.factorize(checkpoints["configuration"])[0]
    effect = random.normal(size=(configuration.max() + 1, len(seen)))
    by_class = random.normal(size=(configuration.max() + 1, len(concepts)))
    by_seed = 0.3 * random.normal(size=len(checkpoints))
    value = effect[configuration[at], through] + by_class[configuration[at], of] + by_seed[at]
    value += random.normal(size=len(value))
    group = of * len(seen) + through
    rows = {name: checkpoints[name].array.take(at) for name in checkpoints}
    rows |= {name: concepts[name].array.take(of) for name in concepts}
    rows |= {name: seen[name].array.take(through) for name in seen}
    rows |= {
        "study": pd.array(["full grid"], dtype="str").repeat(len(at)),
        "second": pd.array([""], dtype="str").repeat(len(at)),
        "value": value,
        "n": np.full(len(at), 100),
        "better": pd.array(["higher", "lower"], dtype="str").take(
            seen["metric"].isin(LOWER).to_numpy().astype(int)[through]
        ),
        "fingerprint": pd.array(marks, dtype="str").take(group),
        "protocol": pd.array(drawing, dtype="str").take(group),
    }
    return pd.DataFrame(rows)[MetricRow.columns()]


def write(folder: Path) -> None:
    """The run folder of such a table; in a process of its own, as memory is measured."""
    study = load(STUDY, ["name=full-grid", f"dataset={folder / 'dataset'}"])
    store = Store(folder)
    made = table(study)
    store.write(store.study, study.toml())
    store.write(store.table("metrics"), parquet.to_bytes(made))
    print(f"{len(made)} rows, {len(study.checkpoints) - 1} checkpoints, {len(VIEWS)} views")


def timed(spent: Counter[str]) -> Iterator[Any]:
    """A patch for each part, which adds its thread's seconds to `spent`."""
    for place, words in PARTS.items():
        *path, name = f"lycoris_bench.{place}".split(".")
        owner: Any = importlib.import_module(".".join(p for p in path if p != "Store"))
        owner = owner.Store if "Store" in path else owner

        function = getattr(owner, name)
        yield patch.object(owner, name, functools.wraps(function)(_timing(function, words, spent)))


def _timing(function: Callable[..., Any], words: str, spent: Counter[str]) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[words] += time.thread_time() - start

    return called


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, help="a run folder; else a synthetic one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        run = asked.run or Path(made)
        if not asked.run:
            builder = multiprocessing.get_context("spawn").Process(target=write, args=(run,))
            builder.start()
            builder.join()
        spent: Counter[str] = Counter()
        start, cpu = time.perf_counter(), time.process_time()
        with ExitStack() as stack:
            for part in timed(spent):
                stack.enter_context(part)
            run_tables.analyze_folder(Store(run))
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    for words in PARTS.values():
        print(f"{words:24} {spent[words]:7.2f}")
    print(f"{'the rest':24} {cpu - sum(spent.values()):7.2f}")
    print(f"{'all':24} {cpu:7.2f} CPU s, {wall:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB; {platform.processor()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
