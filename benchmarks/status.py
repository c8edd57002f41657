"""How long does it take to find out that there is nothing to do, in the paper's study?

    python benchmarks/status.py [--checkpoints 234] [--rows 8000] [--run DIR]

A run of `package:configs/paper.toml` is faked at full size: 234 cards, 35 015 folders of image sets
with a manifest a checkpoint (14 900 images each, none of which exists: what opens one fails), and a
table of rows a checkpoint. Dataset and base model are stand-ins, as neither changes what is
counted. Each command is a process of its own, timed from its start to its end, with the number of
PNGs of the run that it opened; of `generate` to the first image that would be drawn, once the last
checkpoint's images are taken away."""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import pandas as pd
from PIL import Image

from lycoris_bench.cli import main
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run import manifest
from lycoris_bench.run.cards import Card
from lycoris_bench.run.store import Store
from lycoris_bench.study import concept_words
from lycoris_bench.study.load import load
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import ImageSet, MetricRow

STUDY, TREE = "package:configs/paper.toml", "package:prompts/paper"
COST = {"seconds": 600.0, "steps": 1000}


def dataset(folder: Path) -> Path:
    """The paper's folders with one small image each."""
    table = concept_words.concept_table(locate(TREE, Path()))[1]
    for concept in concept_words.numbers(table, "images"):
        place = folder / str(concept)
        place.mkdir(parents=True)
        Image.new("RGB", (64, 64), "navy").save(place / "1.png")
        (place / "1.txt").write_text("a caption")
    return folder


def overrides(folder: Path) -> list[str]:
    """What stands in for the paper's dataset and base model."""
    return [f"dataset={folder / 'dataset'}", "base_model=package:miniature/weights/base",
            "training.optimizer=adamw"]  # fmt: skip


def fake(asked: Plan, store: Store, rows: int) -> None:
    """Cards, manifests with the folders that they are of, and tables of rows."""
    store.describe(asked.study.toml(), {}, scored_rows.identities(asked))
    for checkpoint in asked.trained:
        card = Card(asked.checkpoint_uid(checkpoint), "done", cost=COST)
        store.put_checkpoint(checkpoint, b"weights", card)
    for checkpoint in asked.checkpoints:
        whole, drawn_by = manifest.Manifest(), asked.drawn_by(checkpoint)
        for prompt_set in asked.prompt_sets:
            one = ImageSet(checkpoint, prompt_set.concept, prompt_set.prompt_type)
            folder = store.image_folder(one)
            folder.mkdir(parents=True)
            whole.sets[store.name_of(one)] = manifest.Entry(
                drawn_by, asked.asked(prompt_set), folder.stat().st_mtime_ns, "faked"
            )
        store.write(store.manifest(checkpoint), whole.to_text())
    for source in scored_rows.sources(asked):
        made = scored_rows.inputs(asked, store, source)
        frame = table(asked, str(source), rows if source.is_drawn else 39)
        store.put_frame(store.metrics(store.branch(source)), frame, made)


def table(asked: Plan, name: str, rows: int) -> pd.DataFrame:
    """Rows of one checkpoint, of the width that real ones have."""
    sets = asked.prompt_sets
    made = [
        MetricRow(
            "paper", name, "lora", 23, 10, 1.0, sets[k % len(sets)].concept.category,
            sets[k % len(sets)].concept.class_name, "", sets[k % len(sets)].prompt_type,
            "dissimilarity", "dinov2-l", "crop", k / 7, "higher", 100, f"{k:016x}",
        ).record()
        for k in range(rows)
    ]  # fmt: skip
    frame = pd.DataFrame(made, columns=MetricRow.columns())
    return frame.astype({"seed": "Int64", "epoch": "Int64"})


def child(root: str, arguments: list[str]) -> None:
    """A command that says how many images of the run it opened, and when it would draw."""
    began, opened, honest = float(os.environ["BEGAN"]), [], Image.open

    def counted(file: object, *rest: object, **more: object) -> Image.Image:
        name = str(getattr(file, "name", file))
        opened.extend([name] if name.startswith(root) else [])
        return honest(file, *rest, **more)

    def first(*_: object) -> tuple[None, None]:
        print(f"first image after {time.time() - began:.1f} s;", flush=True)
        return None, None

    with (
        patch("PIL.Image.open", counted),
        patch("lycoris_bench.stages.generate.draw", first),
        patch("lycoris_bench.planning.status.CLOSELY", 0),  # as in the whole study
    ):
        status = main.call(main.command(), arguments)
    print(f"exit status {status}; {len(opened)} PNGs opened")


def timed(root: Path, folder: Path, command: str, *options: str) -> None:
    """Runs a command in a process of its own and prints a row of the table."""
    changes = [word for change in overrides(folder) for word in ("--set", change)]
    arguments = [command, STUDY, *changes, "--run", str(root), *options]
    began, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(root), *arguments],
        env={**os.environ, "BEGAN": str(began)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    took, after = time.time() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = " ".join(line for line in done.stdout.splitlines() if "PNGs" in line or "first" in line)
    summed = next((line for line in done.stdout.splitlines() if "already there" in line), "")
    print(
        f"| {command:<8} | {took:6.1f} s | {cpu:6.1f} s | {said} {summed.partition('. ')[0]}",
        flush=True,
    )


def run(folder: Path, checkpoints: int, rows: int) -> None:
    """Fakes the run, and times the commands."""
    root = folder / "run"
    dataset(folder / "dataset")
    asked = plan(load(STUDY, overrides(folder)), checkpoints)
    began = time.time()
    fake(asked, Store(root), rows)
    images = sum(map(asked.image_count, asked.checkpoints))
    print(f"{len(asked.checkpoints)} checkpoints with base, {images:,} images; faked in "
          f"{time.time() - began:.0f} s on {platform.processor() or platform.machine()}, "
          f"{os.cpu_count()} cores, Python {platform.python_version()}")  # fmt: skip
    few = ["--limit", str(checkpoints)]
    timed(root, folder, "score", *few)  # reads every table once, and assembles them
    for command in ("score", "generate"):
        timed(root, folder, command, *few)
    timed(root, folder, "plan", *few, "--rate", "7,8")
    timed(root, folder, "ls")
    last = asked.checkpoints[-1]
    Store(root).manifest(last).unlink()
    for place in Store(root).manifest(last).parent.rglob("*"):
        if not any(place.iterdir()):
            place.rmdir()
    timed(root, folder, "generate", *few, "--workers", "1")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=int, default=234)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--run", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.run) as place:
        run(Path(place), given.checkpoints, given.rows)
