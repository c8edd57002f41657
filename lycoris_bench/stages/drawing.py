"""The images of one checkpoint, drawn and stored in the order of its queue."""

import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning.drawn_sets import DrawnSets
from lycoris_bench.planning.jobs import Job
from lycoris_bench.planning.parts import Part
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.resolve import content
from lycoris_bench.planning.status import Status
from lycoris_bench.run import executor
from lycoris_bench.run.store import Store
from lycoris_bench.sampling import batch_size
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.sampling.sample import PromptConditioning, sample
from lycoris_bench.scoring.feature_pass import Given
from lycoris_bench.stages.drawn_once import Drawn, Queue
from lycoris_bench.study.records import Checkpoint
from lycoris_bench.training.run import DTYPES

BLANK = 1.0  # grey levels of standard deviation below which an image shows nothing
WRITERS = 4  # threads that write images while an accelerator draws


class Drawing:
    """Draws one checkpoint's missing images, or those of a part of its queue, of about `left` that
    this process has to draw. After
    `images` has come to its end, `refused` says what was not stored and `warned` what was noticed;
    None where there is nothing to say."""

    def __init__(
        self, plan: Plan, store: Store, checkpoint: Checkpoint, left: int, device: str,
        part: Part | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.store, self.checkpoint, self.device = plan, store, checkpoint, device
        self.left, self.part = left, part
        self._refused: list[str] = []
        self._warned: list[str] = []

    @property
    def refused(self) -> str | None:
        if not self._refused:
            return None
        count, first = len(self._refused), "; ".join(self._refused[:3])
        return f"{plural(count, 'image was', 'images were')} not stored: {first}"

    @property
    def warned(self) -> str | None:
        return "; ".join(self._warned) or None

    def images(self) -> Iterator[tuple[str, Given]]:
        """The uid of each image of the queue with its pixels, uint8 [h,w,3], or with its file
        where it is stored already. Images that are refused are left out. What the queue asks for
        more than once, as prompts that name no class do, is drawn once.

        Batches depend neither on which images are stored nor on the part, so that a continued run
        and several workers draw the same pixels; with batch size "auto" all but the last digits of
        them."""
        sampling = self.plan.study.settings.sampling
        status = Status(self.plan, self.store, keeps=True)
        queue = self.plan.jobs(self.checkpoint)
        own = {job.uid for job in (queue[self.part.images] if self.part else queue)}
        absent = [job for job in status.absent(self.checkpoint) if job.uid in own]
        lacking = {job.uid for job in absent}
        if not lacking:
            of_own = (job for job in queue if job.uid in own)
            yield from ((job.uid, self.store.image(job.image_set, job.k)) for job in of_own)
            return
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            backbone, merger = _loaded(
                self.plan.model_of(self.checkpoint),
                self.plan.rest_of(self.checkpoint),
                self.plan.model_uid(self.checkpoint),
                self.device,
                sampling.computed_in,
                sampling.compile,
            )
            self._merge(merger)
        self._warned += [str(w.message) for w in warned]
        embeddings = PromptConditioning(backbone, self.plan.study.settings.training.clip_skip)
        self._note_replaced(absent, queue)
        size = batch_size.settled(
            sampling, backbone, embeddings, [job.prompt for job in queue],
            uid=self.plan.drawn_base_uid, left=self.left,
        )  # fmt: skip
        once, queued = [*{job.uid: job for job in queue}.values()], Queue(queue)
        with _Writer(self, DrawnSets(status, self.checkpoint, absent), 2 * size) as writer:
            for start in range(0, len(once), size):
                batch, made = once[start : start + size], 0
                drawn = self._drawn(backbone, embeddings, batch, size, lacking)
                for job, found in queued.after(batch, drawn):
                    if job.uid not in own:
                        continue
                    if found is None:
                        yield job.uid, self.store.image(job.image_set, job.k)
                        continue
                    made += 1
                    if fault := _fault(*found):
                        place = f"{job.image_set.concept} {job.image_set.prompt_type} {job.k:05d}"
                        self._refused.append(f"{place} is {fault}")
                        continue
                    writer.put(job, found[0])
                    yield job.uid, found[0]
                if made:
                    executor.advance(made)

    def _drawn(
        self, backbone: Backbone, embeddings: PromptConditioning, batch: list[Job], size: int,
        lacking: set[str],
    ) -> dict[str, Drawn]:  # fmt: skip
        """Of the batch what is lacking, by uid: its pixels, and whether all were finite."""
        if not any(job.uid in lacking for job in batch):
            return {}
        sampling = self.plan.study.settings.sampling
        pixels, finite = sample(
            backbone, [job.prompt for job in batch], [job.seed for job in batch],
            steps=sampling.steps, guidance=sampling.guidance,
            width=sampling.width, height=sampling.height,
            scheduler=sampling.scheduler, embeddings=embeddings,
            rows=size,
        )  # fmt: skip
        drawn = zip(batch, pixels, finite, strict=True)
        return {job.uid: (image, bool(good)) for job, image, good in drawn if job.uid in lacking}

    def _merge(self, merger: Merger) -> None:
        """Merges the checkpoint's adapters into the model, and stores the report of the merge."""
        if not self.plan.parts(self.checkpoint):
            merger.restore()
            return
        adapters = [
            (_tensors(self.plan, self.store, part), strength)
            for part, strength in self.plan.parts(self.checkpoint)
        ]
        report = asdict(merger.merge_all(adapters))
        self.store.write_json(self.store.applied(self.checkpoint), report)

    def _note_replaced(self, absent: list[Job], queue: list[Job]) -> None:
        """Notes files in the place of absent images that hold no image of this program, or another
        of the checkpoint. An image of earlier settings is replaced without a word."""
        others = {job.uid for job in queue}
        found = [
            path.relative_to(self.store.root)
            for job in absent
            if (path := self.store.image(job.image_set, job.k)).exists()
            and self.store.image_uid(path) in {None, *others}
        ]
        if found:
            more = f" and {len(found) - 3} more" if found[3:] else ""
            shown = ", ".join(map(str, found[:3])) + more
            self._warned.insert(0, f"drawn again, since damaged or exchanged: {shown}")


class _Writer:
    """Stores images: on an accelerator in threads, while it draws the next ones, with at most so
    many in memory. When it closes, all are stored."""

    def __init__(self, drawing: Drawing, sets: DrawnSets, most: int) -> None:
        self.plan, self.store, self.sets, self.most = drawing.plan, drawing.store, sets, most
        self.pool = None if drawing.device == "cpu" else ThreadPoolExecutor(WRITERS)
        self.waiting: deque[tuple[Job, Future[None]]] = deque()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._wait(0)
        finally:
            if self.pool:
                self.pool.shutdown(wait=True, cancel_futures=True)
            self.sets.write()

    def put(self, job: Job, pixels: Any) -> None:
        if self.pool is None:
            self._store(job, pixels)
            self.sets.stored(job)
            return
        self._wait(self.most)
        self.waiting.append((job, self.pool.submit(self._store, job, pixels)))

    def _store(self, job: Job, pixels: Any) -> None:
        path = self.store.image(job.image_set, job.k)
        self.store.put_image(path, pixels, _parameters(job, self.plan))

    def _wait(self, most: int) -> None:
        """Waits until at most so many images are not stored yet; an error in storing is raised."""
        while len(self.waiting) > most:
            job, stored = self.waiting.popleft()
            stored.result()
            self.sets.stored(job)


def _fault(pixels: Any, finite: bool) -> str | None:
    """Why an image is not stored, or None."""
    if not finite:
        return "not finite"
    return "blank" if float(np.std(pixels)) < BLANK else None


def _tensors(plan: Plan, store: Store, part: Checkpoint | Path) -> dict[str, Tensor]:
    """The tensors of an adapter: trained weights with their checksum verified, or a file whose
    content is that of when the study was opened. BenchError: the file changed since."""
    if isinstance(part, Checkpoint):
        return adapter_file.read(store.weights(part))[0]
    tensors = adapter_file.read(plan.places.get(str(part), part))[0]
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


@lru_cache(maxsize=1)
def _loaded(
    model: str, rest: str | None, content: str, device: str, precision: str, compiled: bool
) -> tuple[Backbone, Merger]:
    """The base model of this process, into which checkpoints are merged one after the other; or a
    whole model that was given, in its place, with the parts that it lacks from `rest`. One of
    another `content` is loaded again: a trainer may write it anew under the same name."""
    backbone = Backbone.load(model, device=device, dtype=DTYPES[precision], over=rest)
    return optimize_for_inference(backbone, compiled), Merger(backbone.unet, backbone.text_encoders)
