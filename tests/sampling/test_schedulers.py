"""Schedulers by name: diffusers' own pipeline steps with them to the same images."""

import diffusers
import numpy as np
import pytest
import torch

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.schedulers import check, check_steps, names, scheduler
from lycoris_bench.sampling.sample import initial_noise, sample
from lycoris_bench.study.settings import Sampling
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


@pytest.mark.study
@pytest.mark.parametrize("name", names())
def test_every_named_scheduler_draws(backbone, name):
    made = sample(backbone, ["a"], [1], scheduler=name, steps=6, guidance=2.0, **SIZE)
    assert made.finite.all() and made.pixels.std() > 1


@pytest.mark.parametrize("name", names())
def test_every_named_scheduler_ends_at_the_picture_that_the_model_sees(backbone, name):
    """EDM's, which hand a model other noise and times, end at noise."""
    steps_by = scheduler(name, backbone.scheduler)
    steps_by.set_timesteps(50)
    picture = torch.linspace(-1, 1, 64).reshape(1, 4, 4, 4)
    kept = backbone.scheduler.alphas_cumprod.numpy()
    latents = torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))
    latents = latents * steps_by.init_noise_sigma
    for t in steps_by.timesteps:
        share = torch.tensor(np.interp(float(t), range(len(kept)), kept))
        seen = steps_by.scale_model_input(latents, t)
        noise = (seen - share.sqrt() * picture) / (1 - share).sqrt()
        latents = steps_by.step(noise, t, latents)[0]
    assert (latents - picture).abs().max() < 0.2


def test_too_few_steps_are_refused_in_a_sentence():
    with pytest.raises(BenchError, match=r"PNDMScheduler cannot draw in 2 steps; 4 or more are"):
        check_steps("PNDMScheduler", 2)
    check_steps("PNDMScheduler", 4)
    for name in names():
        if name != "PNDMScheduler":
            check_steps(name, 1)
    with pytest.raises(ValueError, match=r"PNDMScheduler cannot draw in 3 steps; 4 or more"):
        Sampling(scheduler="PNDMScheduler", steps=3)


def test_others_are_refused_in_a_sentence(backbone):
    with pytest.raises(BenchError, match=r"unknown scheduler 'EDMEulerScheduler'"):
        check("EDMEulerScheduler")
    with pytest.raises(BenchError, match="allowed are: DDIMScheduler, DDPMScheduler"):
        check("x")
    with pytest.raises(BenchError, match="steps by itself"):
        scheduler("EulerDiscreteScheduler", torch.nn.Identity())
