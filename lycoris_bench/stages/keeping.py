"""What is kept of scored checkpoints: `run` removes images and weights that it made itself."""

from collections.abc import Iterable
from pathlib import Path

from lycoris_bench.analysis.copying.pairs import OF_ONE, pairs_of, worst_of_each
from lycoris_bench.analysis.report.image_choice import IMAGES, shown_checkpoints, shown_concepts
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.time_and_disk import PNG
from lycoris_bench.run import passing
from lycoris_bench.run.passing import Passing
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint, Concept, ImageSet


def sample_of(plan: Plan, store: Store, checkpoint: Checkpoint) -> set[Path]:
    """The images that a sample keeps: the first of each set, and those that the report shows; of
    those nearest to a training image the worst."""
    shown = shown_checkpoints(plan)
    concepts = set(shown_concepts(plan)) if checkpoint in shown else set()
    kept = set()
    for asked in plan.prompt_sets_of(checkpoint):
        drawn = asked.images(checkpoint)
        count = IMAGES if asked.concept in concepts else 1
        kept |= {store.image(drawn, k) for k in range(count)}
    if any(metric.partners for metric in scored_rows.metrics(plan.study)):
        for row in worst_of_each(pairs_of(store, checkpoint)).to_dict("records"):
            concept = Concept(row["category"], row["class"], row["subclass"])
            drawn = ImageSet(checkpoint, concept, row["prompt_type"])
            kept.add(store.image_folder(drawn) / row["image"])
    return kept


def most_bytes(plan: Plan, workers: int = 1) -> int:
    """Bytes on disk of images, at most, while `run` keeps samples: those of each checkpoint, and
    all of the base model and of one checkpoint a worker. Weights come besides."""
    sampling, shown = plan.study.settings.sampling, set(shown_checkpoints(plan))
    concepts = set(shown_concepts(plan))
    images = 0
    for checkpoint in plan.checkpoints:
        asked = plan.prompt_sets_of(checkpoint)
        more = sum(p.concept in concepts for p in asked) if checkpoint in shown else 0
        images += len(asked) + more * (min(IMAGES, sampling.images) - 1)
    if any(metric.partners for metric in scored_rows.metrics(plan.study)):
        images += OF_ONE * len(plan.checkpoints)
    images += (1 + workers) * max(map(plan.image_count, plan.checkpoints))
    pixels = images * sampling.width * sampling.height
    if plan.class_images:
        side = plan.study.settings.training.resolution
        pixels += plan.class_images.image_count(BASE_CHECKPOINT) * side**2
    return int(pixels * PNG)


def remove_images(
    plan: Plan, store: Store, checkpoint: Checkpoint, keep: str, features: bool = True
) -> int:
    """Removes images of a checkpoint that is scored, if `run` drew them, but those to `keep`:
    "all", "sample" or "none", and their `features`. Returns how many."""
    if keep == "all" or str(checkpoint) not in Passing.read(store).images:
        return 0
    kept = sample_of(plan, store, checkpoint) if keep == "sample" else ()
    return passing.remove_images(store, checkpoint, kept, features)


def remove_weights(plan: Plan, store: Store, unscored: Iterable[Checkpoint], keep: str) -> None:
    """Removes weights that `run` trained and no `unscored` checkpoint is made of, but those to
    `keep`: "all", "last" (of each configuration and seed) or "none"."""
    listed = Passing.read(store).weights if keep != "all" else frozenset()
    if not listed:
        return
    needed = {part for checkpoint in unscored for part, _ in plan.parts(checkpoint)}
    if keep == "last":
        needed |= {run[-1] for run in plan.by_run()}
    for checkpoint in plan.trained:
        if str(checkpoint) in listed and checkpoint not in needed:
            store.remove_weights(checkpoint)
