"""The stages as a user runs them, in the miniature world: on the device, in workers, and its table
against the CPU's."""

import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

import lycoris_bench as lb
from benchmarks.gpu_checks.context import Context, that
from lycoris_bench.study.places import locate

SAME_IMAGES = 1e-3  # relative difference of a value, of the same images scored on both
SAME_STUDY = 0.1  # mean difference of a metric's values over their mean size, trained on both
METRICS = ["image_similarity", "centroid_distance", "text_similarity", "style_loss",
           "dissimilarity", "variance", "frechet_distance", "vendi"]  # fmt: skip
KEYS = ["configuration", "epoch", "class", "prompt_type", "metric", "encoder", "resize"]


def study_file(folder: Path, name: str, **changes: Any) -> Path:
    """The demo's study, made short: two algorithms, two concepts, two epochs, two images a set."""
    demo = tomllib.loads(locate("package:configs/demo.toml", Path()).read_text(encoding="utf-8"))
    demo |= {"name": name, "concepts": ["toys/bunny", "styles/woodcut"], "epochs": [2]}
    demo["algorithms"] = {k: demo["algorithms"][k] for k in ("lora", "lokr")}
    for algorithm in demo["algorithms"].values():
        algorithm.pop("vary", None)
    demo["scoring"]["metrics"] = [m for m in METRICS if m != "vendi" or find_spec("vendi_score")]
    demo["sampling"] |= {"images": 2, "steps": 8, **changes}
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(demo), encoding="utf-8")
    return path


def run(study: Path, folder: Path, device: str, workers: int = 1, stages: tuple[str, ...] = (
    "train", "generate", "score"
)) -> None:  # fmt: skip
    """Some stages of a study. AssertionError: an item failed."""
    for stage in stages:
        outcome = lb.run_stage(stage, lb.load_study(study), folder, device=device, workers=workers)
        that(not outcome.failed, f"{stage}: {outcome.failed}")


def pngs(folder: Path) -> dict[str, bytes]:
    """The run's images by their path in it."""
    images = (folder / "images").rglob("*.png")
    return {str(path.relative_to(folder)): path.read_bytes() for path in images}


def stages(context: Context) -> Iterator[str]:
    """train, generate and score on the device; drawn again by two workers, the same bytes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        study = study_file(folder, "gpu")
        one, two = folder / "one", folder / "two"
        _, seconds = context.timed(lambda: run(study, one, context.device))
        yield f"train, generate and score: {seconds:.1f} s, {len(pngs(one))} images"
        shutil.copytree(one, two)
        for drawn in ("images", "metrics", "features"):
            shutil.rmtree(two / drawn, ignore_errors=True)
        _, seconds = context.timed(
            lambda: run(study, two, context.device, 2, ("generate", "score"))
        )
        same = pngs(one) == pngs(two)
        yield f"drawn and scored again by two workers: {seconds:.1f} s, the same bytes: {same}"
        that(same, "two workers draw other images than one")


def table_of_the_demo(context: Context) -> Iterator[str]:
    """The same study on the CPU and here, and the CPU's images scored here."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        study = study_file(folder, "both")
        cpu, here, again = (folder / name for name in ("cpu", "here", "again"))
        _, seconds = context.timed(lambda: run(study, cpu, "cpu", 1 if context.narrow else 3))
        yield f"on the CPU: {seconds:.1f} s"
        _, seconds = context.timed(lambda: run(study, here, context.device))
        yield f"on {context.device}: {seconds:.1f} s"
        shutil.copytree(cpu, again)
        for scored in ("metrics", "features"):
            shutil.rmtree(again / scored, ignore_errors=True)
        run(study, again, context.device, stages=("score",))
        whole = table(cpu)
        for name, other, most in (("the same images", again, SAME_IMAGES),
                                  ("trained and drawn there", here, SAME_STUDY)):  # fmt: skip
            gaps = differences(whole, table(other), name == "the same images")
            said = ", ".join(f"{metric} {gap:.1e}" for metric, gap in gaps.items())
            yield f"{name} ({len(whole)} rows), relative difference: {said} (allowed: {most})"
            that(max(gaps.values()) <= most, f"{name}: the tables differ by more than {most}")


def table(folder: Path) -> pd.DataFrame:
    """The metric table of a run, by what identifies a row."""
    rows = lb.open_run(folder).table("metrics")
    keys = [key for key in KEYS if key in rows]
    return rows.set_index(keys)["value"].sort_index()


def differences(a: Any, b: Any, each: bool) -> dict[str, float]:
    """Of each metric: the largest |a - b| / max(|a|, |b|) of a row, or the mean |a - b| over the
    mean |a|."""
    that(list(a.index) == list(b.index), "the tables have other rows")
    names = a.index.get_level_values("metric")
    found = {}
    for metric in dict.fromkeys(names):
        x, y = a[names == metric].to_numpy(), b[names == metric].to_numpy()
        gap, size = np.abs(x - y), np.maximum(np.abs(x), np.abs(y))
        shares = (
            gap[size > 0] / size[size > 0] if each else gap.mean() / max(np.abs(x).mean(), 1e-12)
        )
        found[metric] = float(np.max(shares, initial=0.0))
    return found
