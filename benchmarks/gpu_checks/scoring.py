"""Scoring: features as on the CPU, from files at the speed of the reader, beside drawing."""

import copy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu_checks.context import Context, that
from benchmarks.gpu_checks.drawing import draw, png
from lycoris_bench.data.images import read_image
from lycoris_bench.run.store import Store
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.scoring.embeddings import Embedder
from lycoris_bench.scoring.encoders import exact_resize
from lycoris_bench.scoring.encoders.base import Encoder, pixels
from lycoris_bench.scoring.encoders.resize import RESIZINGS, Picture, resized
from lycoris_bench.scoring.feature_pass import feature_pass, threads_for
from lycoris_bench.scoring.gram_features import Pairs
from lycoris_bench.scoring.metrics.style_loss import style_loss
from tests.support.random_encoders import random_encoder

SPECS = ("dinov2-l", "clip-l-datacomp", "convnextv2-l", "vgg19")
RELATIVE = 1e-4  # of features in fp32, CPU against CUDA: sums in another order, 24 layers deep


def pictures(count: int, size: int) -> list[Image.Image]:
    """Smooth random pictures."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 24, 24, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC) for one in coarse]


def features(encoder: Encoder, images: list[Image.Image]) -> list[torch.Tensor]:
    """What an encoder gives, on the CPU: vectors, or Gram matrices of each layer."""
    found = encoder.encode([encoder.prepare(image) for image in images])
    return [one.double().cpu() for one in (found if isinstance(found, list) else [found])]


def relative(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    """Largest |a - b| / |b| of a layer."""
    return max(float((x - y).norm() / y.norm()) for x, y in zip(a, b, strict=True))


def encoders_agree(context: Context) -> Iterator[str]:
    """The paper's encoders at random weights: against the CPU, with TF32, and their rates; and
    that pixels resized on the device are PIL's."""
    images = pictures(2, 512)
    for mode in RESIZINGS:
        batch = torch.stack([pixels(image) for image in images]).to(context.device)
        there = exact_resize.resized(batch, mode, 224).cpu().permute(0, 2, 3, 1).numpy()
        here = np.stack([np.asarray(resized(image, mode, 224)) for image in images])
        that(np.array_equal(there, here), f"{mode} on the device differs from PIL")
    yield "resized on the device to PIL's own bytes"
    for spec in SPECS:
        encoder = random_encoder(spec, context.device, context.narrow)
        found = features(encoder, images)
        if context.cuda:
            there = copy.deepcopy(encoder)
            there.device = torch.device("cpu")
            for module in vars(there).values():
                if isinstance(module, torch.nn.Module):
                    module.cpu()
            error = relative(found, features(there, images))
            before = torch.backends.cudnn.allow_tf32
            fast = encoder.with_record(encoder.record.with_resize(encoder.record.mode + "+tf32"))
            yield (f"{spec}: {error:.1e} from the CPU, "
                   f"{relative(features(fast, images), found):.1e} by TF32")  # fmt: skip
            that(torch.backends.cudnn.allow_tf32 == before, "a flag was left behind")
            that(error < RELATIVE, f"{spec} differs by {error:.1e} from the CPU")
        many = [encoder.prepare(image) for image in pictures(4 if context.narrow else 64, 512)]
        rate = len(many) / context.seconds(lambda e=encoder, m=many: e.encode(m), 2)
        line = f"{spec}: {rate:.0f} images/s in batches of {len(many)}, fp32"
        if context.cuda and spec != "vgg19":
            fast = encoder.with_record(encoder.record.with_resize(encoder.record.mode + "+tf32"))
            rate = len(many) / context.seconds(lambda e=fast, m=many: e.encode(m), 2)
            line += f", {rate:.0f} in TF32"
        yield line


def from_files(context: Context) -> Iterator[str]:
    """Features of PNG files with and without threads that read ahead (which must be equal); the
    style loss of images against themselves, which must be 0."""
    count = 8 if context.narrow else 128
    specs = SPECS if context.cuda else ("dinov2-l", "vgg19")
    loaded = [random_encoder(spec, context.device, context.narrow) for spec in specs]
    with tempfile.TemporaryDirectory() as folder:
        items = []
        for k, image in enumerate(pictures(count, 512)):
            path = Path(folder) / f"{k}.png"
            path.write_bytes(png(np.asarray(image)))
            items.append((str(k), path))
        found = []
        for threads in dict.fromkeys((0, 1, threads_for(context.device) or 2)):
            store = Store(Path(folder) / f"run-{threads}")
            embedders = [
                Embedder(store, Path(e.record.name), e, items, 16)
                for e in loaded if e.record.outputs != "gram"
            ]  # fmt: skip
            _, seconds = context.timed(partial(feature_pass, items, embedders, threads))
            found.append([np.stack(list(e.features.values())) for e in embedders])
            yield (f"{threads} threads: {count / seconds:.1f} images/s of 512 x 512, "
                   f"{len(embedders)} encoders")  # fmt: skip
            for a, b in zip(found[0], found[-1], strict=True):
                that(np.array_equal(a, b), "features depend on the number of threads")
        equal = {uid: (f"other-{uid}", path) for uid, path in items}
        pairs = Pairs(loaded[-1], [style_loss], equal, 16)
        threads = threads_for(context.device)
        _, seconds = context.timed(partial(feature_pass, items, [pairs], threads))
        largest = max(pairs.values.values())
        yield (f"style loss of {count} images against equal ones: {largest} at most; "
               f"{count / seconds:.1f} pairs/s")  # fmt: skip
        that(largest == 0, "an image is not at distance 0 from an equal one")
        read = context.seconds(lambda: [read_image(path) for _, path in items[:8]], 1) / 8
        yield f"reading a file of 512 x 512: {read * 1e3:.1f} ms"


def share_of_drawing(context: Context) -> Iterator[str]:
    """Row 9: drawing a batch, encoding it with all encoders and storing its PNG files, one after
    the other, against drawing alone."""
    backbone = optimize_for_inference(context.backbone(context.half))
    loaded = [random_encoder(spec, context.device, context.narrow) for spec in SPECS]
    drawn = context.seconds(lambda: draw(context, backbone, context.batch), 1)
    made = draw(context, backbone, context.batch)

    def encode() -> None:
        shown = [Picture(Image.fromarray(image)) for image in made]
        for encoder in loaded:
            encoder.encode([encoder.prepare(picture) for picture in shown])

    scored = context.seconds(encode, 2)
    stored = context.seconds(lambda: [png(image) for image in made], 1)
    yield (f"a batch of {context.batch}: drawn in {drawn:.3f} s, encoded in {scored:.3f} s, "
           f"stored in "
           f"{stored:.3f} s; row 9: {(drawn + scored + stored) / drawn:.3f} one after the other, "
           f"{(drawn + scored) / drawn:.3f} with PNG in other threads")  # fmt: skip
