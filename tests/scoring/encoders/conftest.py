"""Pictures of awkward shapes, and records that name a file of the test."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image


def picture(width, height, seed=0):
    """A smooth scene with some noise: resampling errors show, as they would not in pure noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float)
    noisy = smooth + rng.normal(scale=12, size=smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


@pytest.fixture(name="picture")
def _picture():
    return picture


@pytest.fixture
def at():
    """A record whose weights are another file."""
    return lambda record, path: replace(record, weights=str(path), sha256=None)
