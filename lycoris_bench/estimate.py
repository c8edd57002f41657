"""How long the rest of a study takes on this machine, and how much disk all of it needs.

Time is measured, not guessed: what stored checkpoints cost if there are any, else one training
forward and one sampling batch timed on the base model itself."""

import time

from lycoris_bench.adapters.network import attach
from lycoris_bench.diffusion.backbone import Backbone
from lycoris_bench.diffusion.sample import sample
from lycoris_bench.plan import Plan
from lycoris_bench.store import Store

BACKWARD = 2.0  # a backward pass costs about two forward passes
PNG = 1.85  # bytes a pixel of a stored PNG, as the demo's images have


def seconds(plan: Plan, store: Store, device: str) -> dict[str, float]:
    """Seconds of one process left for training and drawing. Scoring is small beside them."""
    training, drawing = 0, 0
    for checkpoint in plan.checkpoints:
        drawing += len(plan.absent(store, checkpoint))
    for run in plan.by_run():
        lacking = [c for c in run if not plan.is_trained(store, c)]
        training += plan.steps(lacking[-1].epoch or 0) if lacking else 0
    step, image = _measured(plan, store, device) if training or drawing else (0.0, 0.0)
    return {"train": training * step, "generate": drawing * image}


def _measured(plan: Plan, store: Store, device: str) -> tuple[float, float]:
    """Seconds per training step and per image."""
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
    if costs:
        return sum(c["seconds"] for c in costs) / sum(c["steps"] for c in costs), image
    # A guided step is two passes of the U-Net; a training step one, and its backward.
    return denoise / 2 * (1 + BACKWARD) * plan.study.settings.training.batch_size, image


def disk_bytes(plan: Plan, store: Store) -> int:
    """Bytes of all checkpoints (fp16) and images when the study is complete."""
    sampling = plan.study.settings.sampling
    images = sum(len(plan.jobs(checkpoint)) for checkpoint in plan.checkpoints)
    pixels = sampling.width * sampling.height
    parameters = _parameters(plan)
    weights = sum(2 * parameters[c.configuration.name] for c in plan.trained)
    return int(images * pixels * PNG) + weights


def _parameters(plan: Plan) -> dict[str, int]:
    """Trained parameters of each configuration, counted on a base model without memory."""
    counted: dict[str, int] = {}
    backbone = Backbone.load(plan.study.settings.base_model)
    unet, texts = backbone.unet.to("meta"), [t.to("meta") for t in backbone.text_encoders]
    for c in dict.fromkeys(checkpoint.configuration for checkpoint in plan.trained):
        network = attach(unet, texts, plan.study.preset(c), c.algorithm, c.keywords, 0)
        counted[c.name] = network.parameter_count
        network.detach()
    return counted
