"""Training an adapter: the denoiser's loss on cached latents, with AdamW (paper D.2).

Everything random in a step is drawn from (seed, epoch, step), so a training that is killed and
resumed from any state makes the same weights as one that never stopped: bit by bit on a CPU, and on
a GPU within `modes.repeatable`; without it as nearly as two trainings of one seed are alike there,
since CUDA's attention and convolutions add gradients in no fixed order."""

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.quick.memory import keep_freed_memory
from lycoris_bench.models.quick.step import quick_steps
from lycoris_bench.training.cost import TrainingCost
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.modes import frozen_in, gradient_checkpointing, trainable_only
from lycoris_bench.training.prior import Prior
from lycoris_bench.training.run import DTYPES, Diverged, TrainingRun
from lycoris_bench.training.state import State

if TYPE_CHECKING:
    from lycoris_bench.study.settings import Training

__all__ = ["Diverged", "train"]

RARELY = 30  # a state of a whole model takes seconds: this many times as long lies between two


def train(
    backbone: Backbone,
    network: nn.Module,
    dataset: Dataset,
    latents: LatentCache,
    settings: "Training",
    *,
    seed: int,
    epochs: Iterable[int],
    lr: float,
    on_epoch: Callable[[int, nn.Module, TrainingCost], None],
    on_state: Callable[[bytes], None] | None = None,
    on_step: Callable[[int, int, Tensor], None] | None = None,
    state_seconds: float | None = None,
    resume: bytes | None = None,
    identity: str = "",
    prior: Prior | None = None,
) -> TrainingCost:
    """Trains `network`, which is attached to the backbone, up to the last of `epochs`.

    `on_epoch(epoch, network, record)` is called after each epoch in `epochs`; then `on_state`
    gets the bytes to resume from, so that a state never claims a checkpoint that was not kept.
    It is called after every epoch, or if `state_seconds` are given at the first step that comes
    so long after the last state, or longer where states take more than a thirtieth of that time.
    `on_step(done, total, loss)` counts steps over all epochs; the loss is a tensor, as asking for
    its value makes the CPU wait for a GPU.
    `identity` names what the state is of; `resume` with another raises `StateError`, and so does
    a state that is past one of the `epochs`. With a `prior` each step is held to class images.

    Raises `Diverged`. Gradient switches and train/eval modes are left as they were found."""
    epochs = sorted(set(epochs))
    if not epochs or epochs[0] < 1:
        raise BenchError(f"epochs to keep are numbers from 1 up, not {epochs}")
    on_cpu = backbone.device.type == "cpu"
    if on_cpu:
        keep_freed_memory()
    single = on_cpu and settings.precision == "fp32" and backbone.dtype == torch.float32
    with (
        trainable_only(network, backbone) as parameters,
        quick_steps([backbone.unet, *backbone.text_encoders], single),
        gradient_checkpointing(backbone, settings.gradient_checkpointing),
        frozen_in(backbone, DTYPES[settings.precision], settings.precision != "fp32"),
        contextlib.ExitStack() as closing,
    ):
        run = TrainingRun(
            backbone, network, dataset, latents, settings, seed, lr, parameters, prior
        )
        if resume is not None:
            run.restore(State.from_bytes(resume), identity, epochs[0])
        closing.callback(run.close)
        saved_at, seconds = time.monotonic(), state_seconds
        for epoch in range(run.epoch, epochs[-1] + 1):
            groups = run.groups(epoch)
            total = epochs[-1] * len(groups)
            for step in range(run.step, len(groups)):
                following = groups[step + 1] if step + 1 < len(groups) else ()
                loss = run.train_step(epoch, step, groups[step], following)
                run.step = step + 1
                ended = run.step == len(groups)
                if on_step:
                    on_step(run.meter.steps, total, loss)
                if ended:
                    record = run.ended()
                    if epoch in epochs:
                        on_epoch(epoch, network, record)
                    run.next_epoch()
                began = time.monotonic()
                if on_state and (ended if seconds is None else began - saved_at > seconds):
                    on_state(run.state(identity).to_bytes())
                    saved_at = time.monotonic()
                    if state_seconds and state_seconds > 0:
                        seconds = max(state_seconds, RARELY * (saved_at - began))
        return record
