"""Training an adapter: noise prediction on cached latents, with AdamW (paper D.2).

Everything random in a step is drawn from (seed, epoch, step), so a training that is killed and
resumed from any state makes the same weights, bit by bit, as one that never stopped."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from lycoris_bench.diffusion.backbone import Backbone
from lycoris_bench.diffusion.buckets import epoch_batches
from lycoris_bench.diffusion.captions import Captions
from lycoris_bench.diffusion.cost import Meter, Record
from lycoris_bench.diffusion.counters import generator, number
from lycoris_bench.diffusion.dataset import Dataset
from lycoris_bench.diffusion.freeze import only
from lycoris_bench.diffusion.latents import LatentCache
from lycoris_bench.diffusion.optimizer import adamw, rate
from lycoris_bench.diffusion.state import State, StateError, restore_optimizer

if TYPE_CHECKING:
    from lycoris_bench.settings import Training

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Diverged(RuntimeError):
    """The loss or the gradient is no longer a number; lower the rate."""

    def __init__(self, epoch: int, step: int, what: str = "loss") -> None:
        super().__init__(epoch, step, what)
        self.epoch, self.step, self.what = epoch, step, what

    def __str__(self) -> str:
        return f"the {self.what} is not finite in epoch {self.epoch}, step {self.step}"


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
    on_epoch: Callable[[int, nn.Module, Record], None],
    on_state: Callable[[bytes], None] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    state_seconds: float | None = None,
    resume: bytes | None = None,
    identity: str = "",
) -> Record:
    """Trains `network`, which is attached to the backbone, up to the last of `epochs`.

    `on_epoch(epoch, network, record)` is called after each epoch in `epochs`; then `on_state`
    gets the bytes to resume from, so that a state never claims a checkpoint that was not kept.
    It is called after every epoch, or if `state_seconds` are given at the first step that comes
    so long after the last state. `on_step(done, total, loss)` counts steps over all epochs.
    `identity` names what the state is of; `resume` with another raises `StateError`, and so does
    a state that is past one of the `epochs`.

    Raises `Diverged`. Gradient switches and train/eval modes are left as they were found."""
    epochs = sorted(set(epochs))
    if not epochs or epochs[0] < 1:
        raise ValueError(f"epochs to keep are numbers from 1 up, not {epochs}")
    with only(network, backbone) as parameters:
        run = _Run(backbone, network, dataset, latents, settings, seed, lr, parameters)
        if resume is not None:
            run.restore(State.from_bytes(resume), identity, epochs[0])
        saved_at = time.monotonic()
        for epoch in range(run.epoch, epochs[-1] + 1):
            batches = run.batches(epoch)
            total = epochs[-1] * len(batches)
            for step in range(run.step, len(batches)):
                loss = run.do(epoch, step, batches[step])
                run.step = step + 1
                ended = run.step == len(batches)
                if on_step:
                    on_step(run.meter.steps, total, loss)
                if ended:
                    record = run.meter.record(run.size)
                    if epoch in epochs:
                        on_epoch(epoch, network, record)
                    run.next_epoch()
                waited = time.monotonic() - saved_at
                if on_state and (ended if state_seconds is None else waited > state_seconds):
                    on_state(run.state(identity).to_bytes())
                    saved_at = time.monotonic()
        return record


class _Run:
    """What changes while a training goes on."""

    def __init__(
        self,
        backbone: Backbone,
        network: nn.Module,
        dataset: Dataset,
        latents: LatentCache,
        settings: "Training",
        seed: int,
        lr: float,
        parameters: list[nn.Parameter],
    ) -> None:
        if len(latents) != len(dataset.examples):
            raise ValueError("the latents are of another dataset: their numbers differ")
        self.backbone, self.network, self.dataset = backbone, network, dataset
        self.latents, self.settings, self.seed, self.lr = latents, settings, seed, lr
        self.repeats = dataset.repeats(settings.images_per_class)
        self.warmup = round(settings.warmup_epochs * len(self.batches(1)))
        self.captions = Captions(backbone, settings.max_tokens, settings.clip_skip)
        self.parameters, self.size = parameters, sum(p.numel() for p in parameters)
        self.optimizer = adamw(
            self.parameters, betas=settings.betas, weight_decay=settings.weight_decay,
            eight_bit=settings.optimizer == "adamw8bit",
        )  # fmt: skip
        fp16 = settings.precision == "fp16"
        self.scaler = torch.amp.GradScaler(backbone.device.type, enabled=fp16)
        self.epoch, self.step, self.meter = 1, 0, Meter.start(backbone.device)

    def batches(self, epoch: int) -> list[list[int]]:
        return epoch_batches(
            self.latents.buckets, self.repeats, self.settings.batch_size,
            seed=self.seed, epoch=epoch,
        )  # fmt: skip

    def next_epoch(self) -> None:
        self.epoch, self.step = self.epoch + 1, 0
        self.meter.next_epoch()

    def do(self, epoch: int, step: int, batch: list[int]) -> float:
        """One step: loss, gradient clipped by its norm, AdamW."""
        with self.meter.step(len(batch)):
            for group in self.optimizer.param_groups:
                group["lr"] = rate(self.lr, self.meter.steps, self.warmup)
            torch.manual_seed(number(self.seed, "adapter", epoch, step))  # for adapter dropout
            loss = self.loss(batch, generator(self.seed, "step", epoch, step))
            self.meter.look(self.backbone.device)
            value = loss.item()
            if not math.isfinite(value):
                raise Diverged(epoch, step + 1)
            if not loss.requires_grad:  # module dropout has left out every adapter
                self.meter.saw(value)
                return value
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
            # The scaler of fp16 leaves out steps that overflow, and lowers its scale.
            if not self.scaler.is_enabled() and not math.isfinite(norm.item()):
                raise Diverged(epoch, step + 1, "gradient")
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
            self.meter.saw(value)
        return value

    def loss(self, batch: list[int], draw: torch.Generator) -> Tensor:
        """|prediction - noise|^2, averaged, at timesteps drawn uniformly; captions are dropped
        with the probability `caption_dropout`."""
        backbone, settings = self.backbone, self.settings
        latents = self.latents.batch(batch)
        noise = torch.randn(latents.shape, generator=draw)
        known = backbone.scheduler.config.num_train_timesteps
        timesteps = torch.randint(known, (len(batch),), generator=draw).to(backbone.device)
        dropped = torch.rand(len(batch), generator=draw) < settings.caption_dropout
        captions = [
            "" if drop else self.dataset.examples[k].caption
            for k, drop in zip(batch, dropped.tolist(), strict=True)
        ]
        latents = latents.to(backbone.device, backbone.dtype)
        noise = noise.to(backbone.device, backbone.dtype)
        noisy = backbone.add_noise(latents, noise, timesteps)
        dtype = DTYPES[settings.precision]
        with torch.autocast(backbone.device.type, dtype, enabled=settings.precision != "fp32"):
            predicted = backbone.predict(noisy, timesteps, self.captions(captions))
        return mse_loss(predicted.float(), backbone.target(latents, noise, timesteps).float())

    def state(self, identity: str) -> State:
        about = {
            "identity": identity,
            "epoch": self.epoch,
            "step": self.step,
            "meter": asdict(self.meter),
            "scaler": self.scaler.state_dict(),
        }
        return State(self.network.state_dict(), self.optimizer.state_dict()["state"], about)

    def restore(self, state: State, identity: str, first: int) -> None:
        if state.about["identity"] != identity:
            raise StateError("the saved training state is that of other settings")
        if state.about["epoch"] > first:
            raise StateError(f"the saved training state is past epoch {first}")
        self.network.load_state_dict(state.network)
        restore_optimizer(self.optimizer, state)
        self.scaler.load_state_dict(state.about["scaler"])
        self.epoch, self.step = state.about["epoch"], state.about["step"]
        self.meter = Meter(**state.about["meter"])
