"""The steps of a training, and the state between them."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.training.ahead import Ahead, sent
from lycoris_bench.training.buckets import Sides, epoch_batches
from lycoris_bench.training.caption_embeddings import Captions
from lycoris_bench.training.cost import Meter, TrainingCost
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.optimizer import adamw, available, rate
from lycoris_bench.training.prior import ClassBatches, Prior
from lycoris_bench.training.rng import generator, number
from lycoris_bench.training.state import State, StateError, restore_optimizer
from lycoris_bench.training.watch import Diverged, Watch

__all__ = ["DTYPES", "Diverged", "TrainingRun"]

if TYPE_CHECKING:
    from lycoris_bench.study.settings import Training

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Inputs(NamedTuple):
    """What a batch needs that no network computes, on the CPU."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    captions: list[str]
    sizes: list[tuple[Sides, Sides]]  # of each image and of its bucket


Key = tuple[int, int, tuple[int, ...]]  # epoch, place in it, examples
Both = tuple[Inputs, Inputs | None]  # of training images, and of the class images beside them


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
        prior: Prior | None = None,
    ) -> None:
        if len(latents) != len(dataset.examples):
            raise BenchError("the latents are of another dataset: their numbers differ")
        self.backbone, self.network, self.dataset = backbone, network, dataset
        self.latents, self.settings, self.seed, self.lr = latents, settings, seed, lr
        self.repeats = dataset.repeats(settings.images_per_class)
        self.prior, self.beside = prior, prior and ClassBatches(prior, dataset, self.batches, seed)
        self.warmup = round(settings.warmup_epochs * len(self.groups(1)))
        with self._autocast():
            self.captions = Captions(backbone, settings.max_tokens, settings.clip_skip)
        self.parameters, self.size = parameters, sum(p.numel() for p in parameters)
        self.optimizer = adamw(
            self.parameters, betas=settings.betas, weight_decay=settings.weight_decay,
            eight_bit=available(settings.optimizer, backbone.device.type) == "adamw8bit",
        )  # fmt: skip
        fp16 = settings.precision == "fp16"
        self.scaler = torch.amp.GradScaler(backbone.device.type, enabled=fp16)
        self.epoch, self.step, self.meter = 1, 0, Meter.start(backbone.device)
        self.watch = Watch(self.meter, backbone.device, fp16)
        self.inputs = Ahead(self.made, threaded=backbone.device.type == "cuda")

    def groups(self, epoch: int) -> list[list[list[int]]]:
        """The batches of each step of an epoch: one, or so many as are accumulated."""
        batches, several = self.batches(epoch), self.settings.gradient_accumulation
        return [batches[k : k + several] for k in range(0, len(batches), several)]

    def batches(self, epoch: int) -> list[list[int]]:
        """All batches of an epoch."""
        return epoch_batches(
            self.latents.buckets, self.repeats, self.settings.batch_size,
            seed=self.seed, epoch=epoch,
        )  # fmt: skip

    def next_epoch(self) -> None:
        self.epoch, self.step = self.epoch + 1, 0
        self.meter.next_epoch()

    def train_step(
        self, epoch: int, step: int, group: list[list[int]], following: Sequence[list[int]] = ()
    ) -> Tensor:
        """One step: the loss of a group of batches, its gradient clipped by its norm, AdamW.

        Each batch counts by its images, so that a group is what one large batch would be. The
        inputs of the `following` group may be made meanwhile. Returns the loss, which a GPU may
        not have computed yet."""
        images = sum(map(len, group))
        first = step * self.settings.gradient_accumulation
        keys = [(epoch, place, tuple(batch)) for place, batch in enumerate(group, first)]
        coming = [(epoch, first + len(group), tuple(batch)) for batch in following[:1]]
        shares = [len(batch) / images for batch in group]
        with self.meter.step(2 * images if self.prior else images):
            for param_group in self.optimizer.param_groups:
                param_group["lr"] = rate(self.lr, self.meter.steps, self.warmup)
            losses = [
                self.accumulate(key, share, [*keys[k + 1 :], *coming])
                for k, (key, share) in enumerate(zip(keys, shares, strict=True))
            ]
            # without a gradient module dropout has left out every adapter
            changes = any(loss.requires_grad for loss in losses)
            norm = self.update() if changes else torch.zeros(())
            self.watch.saw(epoch, step + 1, losses, shares, norm)
        parts = [share * loss.detach() for share, loss in zip(shares, losses, strict=True)]
        return torch.stack(parts).sum()

    def accumulate(self, key: Key, share: float, following: Sequence[Key] = ()) -> Tensor:
        """The loss of a batch, `share` of whose gradient is added. With class images beside it, it
        is the mean over the batch, and `weight` times the mean over as many of them."""
        own, beside = self.inputs(key, following)
        loss = self._added(key, own, share)
        if self.prior and beside:
            loss = loss + self._added(key, beside, share, self.prior.weight)
        return loss

    def _added(self, key: Key, given: Inputs, share: float, weight: float = 1.0) -> Tensor:
        """`weight` times the loss of these inputs, after `share` of its gradient was added. Class
        images meet the adapters that their batch has: dropout is drawn alike."""
        epoch, place, _ = key
        torch.manual_seed(number(self.seed, "adapter", epoch, place))  # for adapter dropout
        loss = self.loss(given) if weight == 1 else weight * self.loss(given)
        self.meter.look(self.backbone.device)
        if loss.requires_grad:
            self.scaler.scale(loss * share).backward()
        return loss

    def update(self) -> Tensor:
        """Clips the gradient, applies it, and returns the norm that it had. The scaler of fp16
        leaves out steps that overflow, and lowers its scale."""
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def made(self, key: Key) -> Both:
        """The inputs of a batch, and of the class images beside it; the draws of the latter are
        apart, so that the former are those of a training without them."""
        epoch, place, batch = key
        own = self._made(("step", epoch, place), self.dataset, self.latents, batch)
        if not (self.prior and self.beside):
            return own, None
        chosen = self.beside(epoch, place)
        key_ = ("class step", epoch, place)
        return own, self._made(key_, self.prior.data, self.prior.latents, chosen)

    def _made(
        self, key: tuple[str, int, int], data: Dataset, cache: LatentCache, batch: Sequence[int]
    ) -> Inputs:
        """At timesteps that the family draws; captions are dropped with the probability
        `caption_dropout`."""
        draw = generator(self.seed, *key)
        latents = cache.batch(batch)
        noise = torch.randn(latents.shape, generator=draw)
        timesteps = self.backbone.timesteps(len(batch), draw)
        dropped = torch.rand(len(batch), generator=draw) < self.settings.caption_dropout
        examples = [data.examples[k] for k in batch]
        captions = ["" if drop else example.caption
                    for example, drop in zip(examples, dropped.tolist(), strict=True)]  # fmt: skip
        sizes = [(example.size, cache.buckets[k])
                 for example, k in zip(examples, batch, strict=True)]  # fmt: skip
        if self.backbone.device.type == "cuda":
            latents, noise, timesteps = (t.pin_memory() for t in (latents, noise, timesteps))
        return Inputs(latents, noise, timesteps, captions, sizes)

    def loss(self, given: Inputs) -> Tensor:
        """|prediction - target|^2, averaged."""
        backbone = self.backbone
        latents, noise, timesteps = (sent(t, backbone.device) for t in given[:3])
        latents, noise = latents.to(backbone.dtype), noise.to(backbone.dtype)
        noisy = backbone.add_noise(latents, noise, timesteps)
        with self._autocast():
            text = backbone.framed(self.captions(given.captions), given.sizes)
            predicted = backbone.predict(noisy, timesteps, text)
        return mse_loss(predicted.float(), backbone.target(latents, noise, timesteps).float())

    def ended(self) -> TrainingCost:
        """Looks at the numbers of the epoch that ended here; returns what all has cost."""
        started = time.perf_counter()
        self.watch.ended(self.epoch, self.step)
        if self.backbone.device.type == "cuda":
            torch.cuda.synchronize(self.backbone.device)
        self.meter.seconds += time.perf_counter() - started
        return self.meter.record(self.size)

    def close(self) -> None:
        """Ends the thread that makes inputs."""
        self.inputs.close()

    def _autocast(self) -> torch.autocast:
        precision = self.settings.precision
        return torch.autocast(
            self.backbone.device.type, DTYPES[precision], enabled=precision != "fp32"
        )

    def state(self, identity: str) -> State:
        """All that a training goes on from; raises `Diverged` for what would go on with it."""
        self.watch.all()
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
        self.meter = self.watch.meter = Meter(**state.about["meter"])
