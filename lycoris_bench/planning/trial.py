"""Does a little of a study's own work on this machine and times it: steps of each algorithm, a
batch of images, images that are scored. For models that allow it within seconds."""

import time
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image

from lycoris_bench.adapters.attach import attach
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning.plan import Plan
from lycoris_bench.sampling import batch_size
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.sampling.sample import PromptConditioning, sample
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.weights import here
from lycoris_bench.study.records import BASE_CHECKPOINT, Configuration
from lycoris_bench.training import loop
from lycoris_bench.training.buckets import assign
from lycoris_bench.training.latents import LatentCache

TIMED = 2  # steps that count, after one that does not
TRIED, SCORED = 32, 16  # images
LARGEST = 100 << 20  # bytes of an encoder's weights


class _EnoughError(Exception):
    """Ends a training after its trial."""


def seconds_a_step(plan: Plan, device: str) -> dict[str, float]:
    """Seconds of a training step by algorithm, each with its first configuration, on the study's
    captions and bucket sizes and on latents of noise."""
    backbone = Backbone.load(plan.study.settings.base_model, device)
    first: dict[str, Configuration] = {}
    for checkpoint in plan.trained:
        first.setdefault(checkpoint.configuration.algorithm, checkpoint.configuration)
    return {name: _step(plan, backbone, c) for name, c in first.items()}


def _step(plan: Plan, backbone: Backbone, configuration: Configuration) -> float:
    settings = plan.study.settings.training
    data = plan.data_of(configuration)
    buckets = tuple(assign(data, settings))
    shape = (backbone.vae.config.latent_channels,)
    noise = [torch.randn(*shape, h // backbone.vae_scale, w // backbone.vae_scale)
             for w, h in buckets]  # fmt: skip
    latents = LatentCache(noise, buckets)
    ends: list[float] = []

    def enough(done: int, total: int, loss: object) -> None:
        ends.append(time.perf_counter())
        if len(ends) > TIMED:
            raise _EnoughError

    network = attach(
        backbone.unet, backbone.text_encoders, plan.study.preset(configuration),
        configuration.algorithm, configuration.keywords, 0,
    )  # fmt: skip
    try:
        loop.train(
            backbone, network, data, latents, settings,
            seed=0, epochs=[1 + TIMED], lr=configuration.lr,
            on_epoch=lambda *_: None, on_step=enough,
        )  # fmt: skip
    except (_EnoughError, loop.Diverged):
        pass
    finally:
        network.detach()
    return float(np.median(np.diff(ends))) if len(ends) > 1 else 0.0


def seconds_an_image(plan: Plan, device: str, dtype: torch.dtype) -> float:
    """Seconds of an image in a whole batch, drawn with the base model's own prompts and steps."""
    sampling = plan.study.settings.sampling
    backbone = Backbone.load(plan.base_model, device, dtype)
    backbone = optimize_for_inference(backbone, compiled=False)
    embeddings = PromptConditioning(backbone, plan.study.settings.training.clip_skip)
    queue = plan.jobs(BASE_CHECKPOINT)
    size = batch_size.settled(
        sampling, backbone, embeddings, [job.prompt for job in queue[:TRIED]],
        uid=plan.drawn_base_uid, left=len(queue) * len(plan.checkpoints),
    )  # fmt: skip
    jobs = queue[:size]

    def drawn(steps: int) -> float:
        began = time.perf_counter()
        sample(
            backbone, [job.prompt for job in jobs], [job.seed for job in jobs], steps=steps,
            guidance=sampling.guidance, width=sampling.width, height=sampling.height,
            scheduler=sampling.scheduler, embeddings=embeddings,
        )  # fmt: skip
        return (time.perf_counter() - began) / len(jobs)

    drawn(1)
    return drawn(sampling.steps)


def seconds_a_scored_image(plan: Plan, device: str) -> float | None:
    """Seconds of an image in all encoders of the study. None where the weights of one are missing,
    or take too long to load only to be timed."""
    sampling, scoring = plan.study.settings.sampling, plan.study.settings.scoring
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (SCORED, sampling.height, sampling.width, 3), dtype=np.uint8)
    total = 0.0
    for name in dict.fromkeys(spec.partition(":")[0] for spec in scoring.encoders):
        record = encoders.resolved(name, scoring.weights_of(name))
        files = encoders.ENCODERS.get(name).files
        file = here(record, files) if files else None
        if files and (file is None or file.stat().st_size > LARGEST):
            return None
        encoder = encoders.load(name, device, scoring.weights_of(name))
        times = [_scored(encoder, images) for _ in range(2)]
        total += min(times) / SCORED
    return total


def _scored(encoder: encoders.Encoder, images: Iterable[np.ndarray]) -> float:
    began = time.perf_counter()
    encoder.encode([encoder.prepare(Image.fromarray(image)) for image in images])
    return time.perf_counter() - began
