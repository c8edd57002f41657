"""The steps of a training, and the state between them."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.training.buckets import epoch_batches
from lycoris_bench.training.caption_embeddings import Captions
from lycoris_bench.training.cost import Meter
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.optimizer import adamw, available, rate
from lycoris_bench.training.rng import generator, number
from lycoris_bench.training.state import State, StateError, restore_optimizer

if TYPE_CHECKING:
    from lycoris_bench.study.settings import Training

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Diverged(BenchError):
    """The loss or the gradient is no longer a number; lower the rate."""

    def __init__(self, epoch: int, step: int, what: str = "loss") -> None:
        super().__init__(epoch, step, what)
        self.epoch, self.step, self.what = epoch, step, what

    def __str__(self) -> str:
        return f"the {self.what} is not finite in epoch {self.epoch}, step {self.step}"


class TrainingRun:
    """A training between two steps: adapter, optimizer, position, and what it has cost."""

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
            raise BenchError("the latents are of another dataset: their numbers differ")
        self.backbone, self.network, self.dataset = backbone, network, dataset
        self.latents, self.settings, self.seed, self.lr = latents, settings, seed, lr
        self.repeats = dataset.repeats(settings.images_per_class)
        self.warmup = round(settings.warmup_epochs * len(self.groups(1)))
        self.captions = Captions(backbone, settings.max_tokens, settings.clip_skip)
        self.parameters, self.size = parameters, sum(p.numel() for p in parameters)
        self.optimizer = adamw(
            self.parameters, betas=settings.betas, weight_decay=settings.weight_decay,
            eight_bit=available(settings.optimizer, backbone.device.type) == "adamw8bit",
        )  # fmt: skip
        fp16 = settings.precision == "fp16"
        self.scaler = torch.amp.GradScaler(backbone.device.type, enabled=fp16)
        self.epoch, self.step, self.meter = 1, 0, Meter.start(backbone.device)

    def groups(self, epoch: int) -> list[list[list[int]]]:
        """The batches of each step of an epoch: one, or so many as are accumulated."""
        batches = epoch_batches(
            self.latents.buckets, self.repeats, self.settings.batch_size,
            seed=self.seed, epoch=epoch,
        )  # fmt: skip
        several = self.settings.gradient_accumulation
        return [batches[k : k + several] for k in range(0, len(batches), several)]

    def next_epoch(self) -> None:
        self.epoch, self.step = self.epoch + 1, 0
        self.meter.next_epoch()

    def train_step(self, epoch: int, step: int, group: list[list[int]]) -> float:
        """One step: the loss of a group of batches, its gradient clipped by its norm, AdamW.

        Each batch counts by its images, so that a group is what one large batch would be."""
        images = sum(map(len, group))
        with self.meter.step(images):
            for param_group in self.optimizer.param_groups:
                param_group["lr"] = rate(self.lr, self.meter.steps, self.warmup)
            value, changes = 0.0, False
            first = step * self.settings.gradient_accumulation
            for place, batch in enumerate(group, first):
                share = len(batch) / images
                part, flows = self.accumulate(epoch, step, place, batch, share)
                value, changes = value + share * part, changes or flows
            if changes:  # else module dropout has left out every adapter
                self.update(epoch, step)
            self.meter.saw(value)
        return value

    def accumulate(
        self, epoch: int, step: int, place: int, batch: list[int], share: float
    ) -> tuple[float, bool]:
        """Loss of the epoch's batch number `place`, its gradient added; whether there was one."""
        torch.manual_seed(number(self.seed, "adapter", epoch, place))  # for adapter dropout
        loss = self.loss(batch, generator(self.seed, "step", epoch, place))
        self.meter.look(self.backbone.device)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(epoch, step + 1)
        if loss.requires_grad:
            self.scaler.scale(loss * share).backward()
        return value, loss.requires_grad

    def update(self, epoch: int, step: int) -> None:
        """Clips the gradient and applies it."""
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
        # The scaler of fp16 leaves out steps that overflow, and lowers its scale.
        if not self.scaler.is_enabled() and not math.isfinite(norm.item()):
            raise Diverged(epoch, step + 1, "gradient")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def loss(self, batch: list[int], draw: torch.Generator) -> Tensor:
        """|prediction - target|^2, averaged, at timesteps that the family draws; captions are
        dropped with the probability `caption_dropout`."""
        backbone, settings = self.backbone, self.settings
        latents = self.latents.batch(batch)
        noise = torch.randn(latents.shape, generator=draw)
        timesteps = backbone.timesteps(len(batch), draw).to(backbone.device)
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
            sizes = [(self.dataset.examples[k].size, self.latents.buckets[k]) for k in batch]
            text = backbone.framed(self.captions(captions), sizes)
            predicted = backbone.predict(noisy, timesteps, text)
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
