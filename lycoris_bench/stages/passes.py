"""Work in forward passes of the U-Net for one image, as which unlike work is added up."""

from lycoris_bench.planning.plan import Plan

BACKWARD = 2.0  # a backward pass costs about two forward passes
DECODE = 3.0  # decoding an image costs about three forward passes of Stable Diffusion's U-Net


def of_image(plan: Plan) -> float:
    """What it takes to draw an image."""
    sampling = plan.study.settings.sampling
    return (2 if sampling.guidance > 1 else 1) * sampling.steps + DECODE


def of_step(plan: Plan) -> float:
    """What a step of a training takes that is not held to class images."""
    settings = plan.study.settings.training
    return (1 + BACKWARD) * settings.batch_size * settings.gradient_accumulation
