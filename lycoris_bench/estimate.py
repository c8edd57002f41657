"""How long the rest of a study takes, and how much disk all of it needs.

Time is measured, not guessed: what stored checkpoints cost if there are any, else one training
forward and one sampling batch timed on the base model itself. Where the base model is not there,
or a rate is given, it is counted at that rate."""

import time
from typing import NamedTuple

from lycoris_bench.adapters.network import attach
from lycoris_bench.diffusion.backbone import Backbone
from lycoris_bench.diffusion.outline import outline
from lycoris_bench.diffusion.sample import sample
from lycoris_bench.errors import BenchError
from lycoris_bench.inputs import PLACEHOLDER
from lycoris_bench.plan import Plan
from lycoris_bench.store import Store
from lycoris_bench.vocabulary import Checkpoint

BACKWARD = 2.0  # a backward pass costs about two forward passes
PNG = 1.85  # bytes a pixel of a stored PNG, as the demo's images have


class Rate(NamedTuple):
    """Training steps and images a second of one process, and where the figures come from."""

    steps: float
    images: float
    source: str


# Of Stable Diffusion 1.5 at 512x512, batch 8: what one H100-class GPU may do, not a measurement.
ASSUMED = Rate(7.0, 8.0, "assumed of one H100-class GPU, --rate gives your own")


def given(text: str) -> Rate:
    """A rate as it is typed: `7,8` is 7 training steps and 8 images a second."""
    try:
        steps, images = (float(part) for part in text.split(","))
        if steps <= 0 or images <= 0:
            raise ValueError
    except ValueError:
        raise BenchError(
            f"--rate is '{text}'; two numbers above 0 are needed, training steps and images "
            "a second, like 7,8"
        ) from None
    return Rate(steps, images, "as given")


def left(plan: Plan, store: Store) -> tuple[int, int]:
    """Training steps and images that the store lacks."""
    steps = {epoch: plan.steps(epoch) for epoch in {c.epoch or 0 for c in plan.trained}}
    training = 0
    for run in plan.by_run():
        lacking = [c for c in run if not plan.is_trained(store, c)]
        training += steps[lacking[-1].epoch or 0] if lacking else 0
    return training, sum(images_left(plan, store, checkpoint) for checkpoint in plan.checkpoints)


def images_left(plan: Plan, store: Store, checkpoint: Checkpoint) -> int:
    """Images of a checkpoint that the store lacks; of one without a folder they need no search."""
    if not store.applied(checkpoint).parent.exists():
        return plan.image_count(checkpoint)
    return len(plan.absent(store, checkpoint))


def measured(plan: Plan, store: Store, device: str) -> Rate:
    """The rate of this machine."""
    backbone = Backbone.load(plan.study.settings.base_model, device=device)
    sampling = plan.study.settings.sampling
    prompt = plan.prompt_sets[0].prompts[0]

    def draw(steps: int) -> float:
        batch = sampling.batch_size
        start = time.perf_counter()
        sample(
            backbone, [prompt] * batch, list(range(batch)), steps=steps,
            guidance=sampling.guidance, width=sampling.width, height=sampling.height,
        )  # fmt: skip
        return (time.perf_counter() - start) / batch

    draw(1)  # warm up
    few, more = draw(1), draw(3)
    denoise = max((more - few) / 2, 1e-6)  # one guided step of one image
    image = few + denoise * (sampling.steps - 1)
    cards = [store.card(checkpoint) for checkpoint in plan.trained]
    costs = [card["cost"] for card in cards if card and card["status"] == "done"]
    # A guided step is two passes of the U-Net; a training step one, and its backward.
    step = denoise / 2 * (1 + BACKWARD) * plan.study.settings.training.batch_size
    if costs:
        step = sum(c["seconds"] for c in costs) / sum(c["steps"] for c in costs)
    return Rate(1 / step, 1 / image, "measured here")


def disk_bytes(plan: Plan) -> tuple[int, int | None]:
    """Bytes of all images, and of all checkpoints (fp16) when the study is complete; None where
    the base model is neither there nor known by name."""
    sampling = plan.study.settings.sampling
    images = sum(plan.image_count(checkpoint) for checkpoint in plan.checkpoints)
    parameters = _parameters(plan)
    weights = None
    if parameters is not None:
        weights = sum(2 * parameters[c.configuration.name] for c in plan.trained)
    return int(images * sampling.width * sampling.height * PNG), weights


def _parameters(plan: Plan) -> dict[str, int] | None:
    """Trained parameters of each configuration, counted on a base model without memory."""
    name = plan.study.settings.base_model
    if plan.base_uid == PLACEHOLDER:
        known = outline(name)
        if known is None:
            return None
        unet, texts = known.unet, [known.text_encoder]
    else:
        backbone = Backbone.load(name)
        unet, texts = backbone.unet.to("meta"), [t.to("meta") for t in backbone.text_encoders]
    counted: dict[object, int] = {}
    found: dict[str, int] = {}
    for c in dict.fromkeys(checkpoint.configuration for checkpoint in plan.trained):
        shape = (c.algorithm, c.preset, c.layers, c.options)  # the same at every rate
        if shape not in counted:
            network = attach(unet, texts, plan.study.preset(c), c.algorithm, c.keywords, 0)
            counted[shape] = network.parameter_count
            network.detach()
        found[c.name] = counted[shape]
    return found
