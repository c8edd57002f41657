"""Batches are halved where memory runs out, and images that overflow are decoded again."""

import numpy as np
import pytest
import torch

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.sampling import sample as module
from lycoris_bench.sampling.memory import in_parts
from lycoris_bench.sampling.sample import sample

HOW = {"steps": 2, "guidance": 3.0, "width": 32, "height": 32}


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
])  # fmt: skip
def test_rows_are_halved_until_they_fit(error):
    asked = []

    def work(part):
        asked.append(part.stop - part.start)
        if asked[-1] > 2:
            raise error
        return list(range(part.start, part.stop))

    with pytest.warns(UserWarning, match="memory runs out at 7 images at once"):
        parts = in_parts(work, 7)
    assert [row for part in parts for row in part] == list(range(7))
    assert asked == [7, 3, 1, 2, 4, 2, 2]


def test_other_errors_and_a_single_row_are_raised():
    def fails(part):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        in_parts(fails, 4)

    def full(part):
        raise MemoryError

    with pytest.raises(MemoryError), pytest.warns(UserWarning):
        in_parts(full, 2)


def test_halves_draw_the_same_images(backbone, monkeypatch):
    prompts, seeds = ["a", "b", "c"], [1, 2, 3]
    whole = sample(backbone, prompts, seeds, **HOW)
    original = module.denoise

    def small(model, noise, *inputs, **options):
        if len(noise) > 2:
            raise MemoryError
        return original(model, noise, *inputs, **options)

    monkeypatch.setattr(module, "denoise", small)
    with pytest.warns(UserWarning, match="halves"):
        halves = sample(backbone, prompts, seeds, **HOW)
    assert abs(whole.pixels.astype(int) - halves.pixels).max() <= 1 and halves.finite.all()


def test_latents_that_overflow_are_decoded_again(base, monkeypatch):
    half = Backbone.load(base, dtype=torch.float16)
    latents = torch.randn(3, 4, 8, 8)
    good = half.decode(latents)
    original = type(half.vae).decode

    def overflowing(vae, part, **options):
        (pixels,) = original(vae, part, **options)
        if vae.dtype == torch.float16:
            pixels[1] = float("inf")
        return (pixels,)

    monkeypatch.setattr(type(half.vae), "decode", overflowing)
    pixels, finite = half.decode(latents)
    assert finite.all()
    exact = Backbone.load(base).decode(latents)[0]
    assert torch.equal(pixels[[0, 2]], good[0][[0, 2]])
    assert np.abs(pixels[1].numpy().astype(int) - exact[1].numpy()).max() <= 1
    latents[1] = float("nan")
    assert half.decode(latents)[1].tolist() == [True, False, True]
