"""Shared objects of the miniature world's tests."""

import pytest

from lycoris_bench.miniature.networks import WEIGHTS
from lycoris_bench.miniature.pretraining.training_set import held_out


@pytest.fixture(scope="session")
def renders():
    """200 held-out scenes and their pictures."""
    return held_out(200)


@pytest.fixture(scope="session")
def base():
    """The shipped base model."""
    from lycoris_bench.miniature.pipeline import read_base

    return read_base(WEIGHTS / "base")
