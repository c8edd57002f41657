"""Stage 2: draws the images that each checkpoint, and the base model, still lacks."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
from torch import Tensor

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning.plan import Job, Plan
from lycoris_bench.planning.resolve import content
from lycoris_bench.planning.status import DrawnSets, Status
from lycoris_bench.run import environment, executor
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.run.store import Store
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.sampling.sample import PromptConditioning, sample
from lycoris_bench.study.records import Checkpoint
from lycoris_bench.training.run import DTYPES

BLANK = 1.0  # grey levels of standard deviation below which an image shows nothing


def generate(plan: Plan, store: Store, options: Options) -> Outcome:
    """Draws missing images, the base model's included; the outcome names checkpoints without
    weights as failures."""
    outcome = Outcome()
    items, total = [], 0
    status = Status(plan, store, keeps=True)
    for checkpoint in plan.checkpoints:
        reason = status.unusable(checkpoint)
        missing = 0 if reason else status.lacking(checkpoint)
        if reason:
            outcome.failed[str(checkpoint)] = reason
        elif not missing:
            outcome.skipped += 1
        else:
            items.append((str(checkpoint), (plan, store, checkpoint)))
            total += missing
    results = executor.each(
        draw, items, workers=options.workers, total=total, what="generate",
        devices=environment.devices(options.device),
        progress=options.progress, debug=options.debug,
    )  # fmt: skip
    for name, drawn, error in results:
        refused, warned = drawn or (None, None)
        if problem := error or refused:
            outcome.failed[name] = problem
        else:
            outcome.done += 1
        if warned:
            outcome.warnings[name] = warned
    return outcome


def draw(
    plan: Plan, store: Store, checkpoint: Checkpoint, device: str
) -> tuple[str | None, str | None]:
    """Draws one checkpoint's missing images. Batches do not depend on which images are stored, so
    that a continued run draws the same pixels. Returns a sentence on images that were not stored
    and one of warnings, or None."""
    sampling = plan.study.settings.sampling
    backbone, merger = _loaded(plan.base_model, device, sampling.computed_in, sampling.compile)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        _merge(plan, store, merger, checkpoint)
    embeddings = PromptConditioning(backbone, plan.study.settings.training.clip_skip)
    status = Status(plan, store, keeps=True)
    absent = status.absent(checkpoint)
    lacking, queue, refused = {job.uid for job in absent}, plan.jobs(checkpoint), []
    replaced = _replaced(store, absent, queue)
    sets = DrawnSets(status, checkpoint, absent)
    for start in range(0, len(queue), sampling.batch_size):
        batch = queue[start : start + sampling.batch_size]
        missing = [k for k, job in enumerate(batch) if job.uid in lacking]
        if not missing:
            continue
        pixels, finite = sample(
            backbone, [job.prompt for job in batch], [job.seed for job in batch],
            steps=sampling.steps, guidance=sampling.guidance,
            width=sampling.width, height=sampling.height, scheduler=sampling.scheduler,
            embeddings=embeddings, rows=sampling.batch_size,
        )  # fmt: skip
        for k in missing:
            job = batch[k]
            place = f"{job.image_set.concept} {job.image_set.prompt_type} {job.k:05d}"
            if not finite[k]:
                refused.append(f"{place} is not finite")
            elif float(np.std(pixels[k])) < BLANK:
                refused.append(f"{place} is blank")
            else:
                store.put_image(
                    store.image(job.image_set, job.k), pixels[k], _parameters(job, plan)
                )
                sets.stored(job)
        executor.advance(len(missing))
    sets.write()
    said = f"{len(refused)} images were not stored: {'; '.join(refused[:3])}" if refused else None
    return said, "; ".join([*replaced, *(str(w.message) for w in warned)]) or None


def _replaced(store: Store, absent: list[Job], queue: Sequence[Job]) -> list[str]:
    """A sentence on files in the place of absent images that hold no image of this program, or
    another of the checkpoint. An image of earlier settings is replaced without a word."""
    others = {job.uid for job in queue}
    found = [
        path.relative_to(store.root)
        for job in absent
        if (path := store.image(job.image_set, job.k)).exists()
        and store.image_uid(path) in {None, *others}
    ]
    if not found:
        return []
    shown = ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} more" if found[3:] else "")
    return [f"drawn again, since damaged or exchanged: {shown}"]


def _merge(plan: Plan, store: Store, merger: Merger, checkpoint: Checkpoint) -> None:
    """Merges the checkpoint's adapters into the model, and stores the report of the merge."""
    if checkpoint.is_base:
        merger.restore()
        return
    adapters = [
        (_tensors(plan, store, part), strength) for part, strength in plan.parts(checkpoint)
    ]
    store.write_json(store.applied(checkpoint), asdict(merger.merge_all(adapters)))


def _tensors(plan: Plan, store: Store, part: Checkpoint | Path) -> dict[str, Tensor]:
    """The tensors of an adapter: trained weights with their checksum verified, or a file whose
    content is that of when the study was opened. BenchError: the file changed since."""
    if isinstance(part, Checkpoint):
        return adapter_file.read(store.weights(part))[0]
    tensors = adapter_file.read(part)[0]
    if content(tensors) != plan.files[str(part)]:
        raise BenchError(f"{part} was changed since this command began; run it again")
    return tensors


def _parameters(job: Job, plan: Plan) -> dict[str, object]:
    sampling = plan.study.settings.sampling
    return {
        "uid": job.uid,
        "checkpoint": str(job.image_set.checkpoint),
        "prompt": job.prompt,
        "seed": job.seed,
        "steps": sampling.steps,
        "guidance": sampling.guidance,
        "sampler": sampling.sampler,
    }


@cache
def _loaded(
    base_model: str, device: str, precision: str, compiled: bool
) -> tuple[Backbone, Merger]:
    """The base model of this process, into which checkpoints are merged one after the other."""
    backbone = Backbone.load(base_model, device=device, dtype=DTYPES[precision])
    return optimize_for_inference(backbone, compiled), Merger(backbone.unet, backbone.text_encoders)
