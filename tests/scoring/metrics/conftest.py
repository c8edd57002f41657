"""Random features, as an encoder would return them: not normalised, off centre, float32."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def sets():
    """Two sets of different size that share a direction, so that similarities are not all 0."""
    rng = np.random.default_rng(7)
    centre = rng.normal(size=12)
    generated = (centre + 0.8 * rng.normal(size=(9, 12))).astype(np.float32)
    reference = (3 * centre + rng.normal(size=(5, 12))).astype(np.float32)
    return generated, reference


def cosine(a, b):
    """The cosine, written out in Python floats: independent of numpy's linear algebra."""
    a, b = [float(v) for v in a], [float(v) for v in b]
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


@pytest.fixture(name="cosine")
def _cosine():
    return cosine


@pytest.fixture
def published():
    """The folder of the authors' published data; without it the test is skipped."""
    folder = os.environ.get("LYCORIS_BENCH_PUBLISHED")
    if not folder:
        pytest.skip("LYCORIS_BENCH_PUBLISHED does not name the authors' published data")
    return Path(folder)
