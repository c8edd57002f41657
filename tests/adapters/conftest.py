"""The tests' Stable Diffusion, and a batch for it."""

import pytest
import torch
from torch import Tensor

from tests.support import stable_diffusion
from tests.support.forms import _with_plugins  # noqa: F401  (for every test here)
from tests.support.stable_diffusion import Models


@pytest.fixture
def models() -> Models:
    return stable_diffusion.models()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Latents, time steps and token ids for `predict`."""
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    return latents, torch.tensor([3, 700]), torch.randint(0, 64, (2, 8), generator=generator)
