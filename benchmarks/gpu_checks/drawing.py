"""Drawing: rates against diffusers' own pipeline, and what batches and precisions change."""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from benchmarks.gpu_checks.context import Context
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.sampling.sample import initial_noise, sample
from lycoris_bench.study.places import locate

PROMPT = "a tag of two words, a tag of two words, number {}"


def draw(context: Context, backbone: Backbone, count: int, first: int = 0) -> Any:
    """A batch of images, each of its own prompt and seed; counts those that are not finite."""
    numbers = range(first, first + count)
    made = sample(
        backbone, [PROMPT.format(k) for k in numbers], list(numbers), steps=context.steps,
        guidance=7.0, width=context.size, height=context.size,
    )  # fmt: skip
    context.not_finite += int((~made.finite).sum())
    return made.pixels


def pipeline(backbone: Backbone) -> Any:
    """diffusers' pipeline of the same parts."""
    made = diffusers.StableDiffusionPipeline(
        vae=backbone.vae, text_encoder=backbone.text_encoder, tokenizer=backbone.tokenizer,
        unet=backbone.unet, scheduler=backbone.scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def levels(a: np.ndarray, b: np.ndarray) -> str:
    """Mean and largest difference of two stacks of pixels."""
    gap = np.abs(a.astype(int) - b.astype(int))
    return f"{gap.mean():.3f} grey levels in the mean and {gap.max()} at most"


def rates(context: Context) -> Iterator[str]:
    """Images a second against the pipeline (rows 1 to 3), by batch; decoding and PNG apart."""
    backbone = context.backbone(context.half)
    peer = pipeline(backbone)

    def theirs(count: int) -> np.ndarray:
        prompts = [PROMPT.format(k) for k in range(count)]
        noise = initial_noise(backbone, range(count), context.size, context.size)
        made = peer(
            prompts, latents=noise.to(backbone.dtype), num_inference_steps=context.steps,
            guidance_scale=7.0, output_type="np",
        ).images  # fmt: skip
        return (np.asarray(made) * 255).round().astype(np.uint8)

    large = 2 * context.batch
    one = many = math.nan
    seen = None
    try:
        one = 1 / context.seconds(lambda: theirs(1), 3)
        many = large / context.seconds(lambda: theirs(large), 1)
        yield f"pipeline at batch 1: {one:.2f} images/s, at {large}: {many:.2f}"
        seen = theirs(context.batch)
    except Exception as error:
        yield f"the pipeline fails: {type(error).__name__}: {error}"
    optimize_for_inference(backbone)
    best = 0.0
    for count in (context.batch, large, 2 * large):
        rate = count / context.seconds(lambda count=count: draw(context, backbone, count), 1)
        best = max(best, rate)
        yield f"ours, not compiled, at batch {count}: {rate:.2f} images/s"
    ours = draw(context, backbone, context.batch)
    apart = "" if seen is None else f"; {levels(ours, seen)}"
    yield (f"rows 1 to 3: {best / one:.2f}x and {best / many:.2f}x of the pipeline"
           f"{context.share(best)}{apart}; "
        f"{context.not_finite} images not finite")  # fmt: skip
    latents = torch.randn(context.batch, 4, context.size // 8, context.size // 8)
    with torch.inference_mode():
        decoded = context.seconds(lambda: backbone.decode(latents.to(context.device)), 3)
    stored = context.seconds(lambda: [png(image) for image in ours], 1)
    yield (f"of a batch of {context.batch}: decoding {decoded:.3f} s, PNG in one thread "
           f"{stored:.3f} s")  # fmt: skip


def png(pixels: np.ndarray) -> bytes:
    """An image as a PNG, as the store compresses it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def batches_and_precisions(context: Context) -> Iterator[str]:
    """How far batch size, precision and TF32 move a pixel, against float32 on the CPU."""
    place = locate("package:miniature/weights/base", Path())
    small = Context("cpu", context.narrow, context.log)
    small.size, small.steps = 64, 4 if context.narrow else 12
    here = draw(small, Backbone.load(place), 8)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        if not context.cuda and dtype == torch.float16:
            continue
        backbone = Backbone.load(place, context.device, dtype)
        for tf32 in (True, False) if dtype == torch.float32 and context.cuda else (True,):
            before = torch.backends.cudnn.allow_tf32
            torch.backends.cudnn.allow_tf32 = tf32
            try:
                for count in (8, 4, 1):
                    drawn = [draw(small, backbone, count, k) for k in range(0, 8, count)]
                    yield (f"{dtype}{'' if tf32 else ' without TF32'}, batches of {count}: "
                           f"{levels(np.concatenate(drawn), here)}")  # fmt: skip
            finally:
                torch.backends.cudnn.allow_tf32 = before
