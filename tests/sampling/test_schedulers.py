"""Schedulers by name: diffusers' own pipeline steps with them to the same images."""

import diffusers
import pytest
import torch

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.schedulers import check, names, scheduler
from lycoris_bench.sampling.sample import initial_noise, sample
from tests.sampling.test_sample import SIZE, pipeline

# diffusers makes arrays of tensors.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
STEADY = ["DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler",
          "UniPCMultistepScheduler", "HeunDiscreteScheduler", "PNDMScheduler",
          "LMSDiscreteScheduler"]  # fmt: skip
DRAWING = ["EulerAncestralDiscreteScheduler", "DDPMScheduler", "KDPM2AncestralDiscreteScheduler"]
HOW = {"steps": 4, "guidance": 4.0, **SIZE}


@pytest.fixture
def backbone(_loaded):
    """Nothing here changes it."""
    return _loaded


@pytest.fixture(scope="module")
def theirs(base):
    """diffusers' pipeline, which each test gives a scheduler."""
    return pipeline(base)


@pytest.mark.parametrize("name", STEADY)
def test_images_equal_those_of_the_pipeline(theirs, backbone, name):
    theirs.scheduler = getattr(diffusers, name).from_config(backbone.scheduler.config)
    noise = initial_noise(backbone, [5, 6], **SIZE)
    expected = theirs(
        ["a red hat", "lake"], latents=noise, guidance_scale=4.0, num_inference_steps=4,
        output_type="np", **SIZE,
    ).images  # fmt: skip
    made = sample(backbone, ["a red hat", "lake"], [5, 6], scheduler=name, **HOW)
    assert abs(made.pixels.astype(int) - (expected * 255).round()).max() <= 1


@pytest.mark.parametrize("name", DRAWING)
def test_noise_of_the_steps_is_that_of_the_seed_alone(backbone, name):
    together = sample(backbone, ["hat", "lake", "hat"], [5, 6, 7], scheduler=name, **HOW)
    alone = sample(backbone, ["lake"], [6], scheduler=name, **HOW)
    assert abs(together.pixels[1].astype(int) - alone.pixels[0]).max() <= 1
    steady = sample(backbone, ["lake"], [6], **HOW)
    assert abs(steady.pixels[0].astype(int) - alone.pixels[0]).max() > 1
    assert abs(together.pixels[0].astype(int) - together.pixels[2]).max() > 1


def test_ddim_is_the_backbones_own(backbone):
    assert scheduler("DDIMScheduler", backbone.scheduler) is backbone.scheduler


@pytest.mark.parametrize("name", names())
def test_every_named_scheduler_draws(backbone, name):
    made = sample(backbone, ["a"], [1], scheduler=name, steps=6, guidance=2.0, **SIZE)
    assert made.finite.all() and made.pixels.std() > 1


def test_others_are_refused_in_a_sentence(backbone):
    with pytest.raises(BenchError, match=r"unknown scheduler 'EulerScheduler'; did you mean 'EDM"):
        check("EulerScheduler")
    with pytest.raises(BenchError, match="allowed are: DDIMScheduler, DDPMScheduler"):
        check("x")
    with pytest.raises(BenchError, match="steps by itself"):
        scheduler("EulerDiscreteScheduler", torch.nn.Identity())
