"""What of a run is kept in results/: its rows, and first images of what the report shows.

`python -m benchmarks.shipped RUN results/NAME`

A run folder that holds a checkpoint's rows counts it as done without weights and images, so that
`lycoris-bench run STUDY --run results/NAME` goes on from it. Of a run whose metrics.parquet has
every checkpoint that table stands in place of theirs, in half of the room
(`planning/packed_rows.py`), and `analyze results/NAME` makes the report.
"""

import argparse
import shutil
from pathlib import Path

from lycoris_bench.analysis.report.image_choice import shown_checkpoints, shown_concepts
from lycoris_bench.planning import packed_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.scored_rows import sources_in
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import load_stored
from lycoris_bench.study.records import REAL_IMAGES, ImageSet

KEPT = ("study.toml", "identities.json", "metrics", "provenance", "features/weights.json")


def thumbnails(asked: Plan, store: Store) -> list[Path]:
    """The first image of each set of the checkpoints and concepts that the report shows."""
    concepts = set(shown_concepts(asked))
    drawn = [
        ImageSet(checkpoint, prompts.concept, prompts.prompt_type)
        for checkpoint in shown_checkpoints(asked)
        for prompts in asked.prompt_sets_of(checkpoint)
        if prompts.concept in concepts
    ]
    return [path for one in drawn if (path := store.image(one, 0)).exists()]


def is_whole(asked: Plan, store: Store) -> bool:
    """Whether metrics.parquet has rows of every checkpoint of the study."""
    found = store.frame(store.table("metrics"))
    return found is not None and {*asked.checkpoints} <= {*sources_in(found[0], asked.study)}


def is_of_one(path: Path) -> bool:
    """Whether a file of a run holds the rows of one checkpoint."""
    return path.suffix == ".parquet" and not path.stem.endswith("-images")


def copy(run: Path, out: Path, study: Path) -> int:
    """Copies what is kept, file by file; images that are there already stay. Returns how many
    images were copied. study: the whole study, of which the run may be a part so far."""
    store, asked = Store(run), plan(load_stored(study))
    kept = [path for name in KEPT for path in [run / name, *(run / name).rglob("*")]]
    if is_whole(asked, store):
        single = {path for path in kept if is_of_one(path)} | {store.tables}
        kept = [path for path in kept if path not in single]
        packed_rows.pack(store, [*asked.study.checkpoints, REAL_IMAGES], out / "metrics.parquet")
        for path in single:
            (out / path.relative_to(run)).unlink(missing_ok=True)
    images = thumbnails(asked, store)
    for path in [*kept, *images]:
        if path.is_file():
            target = out / path.relative_to(store.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return len(images)


def main() -> None:
    """Copies, and says how much there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--study", type=Path, help="the whole study (default: the run's own)")
    given = parser.parse_args()
    count = copy(given.run, given.out, given.study or given.run / "study.toml")
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    print(f"{count} images; {given.out} has {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
