"""Trains one configuration and seed to the checkpoints that it lacks."""

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone, fingerprint
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run import environment, executor
from lycoris_bench.run.cards import Card
from lycoris_bench.run.store import Store
from lycoris_bench.stages import class_images
from lycoris_bench.study.records import Checkpoint, Configuration
from lycoris_bench.training import latent_cache, loop, tensorboard
from lycoris_bench.training.cost import TrainingCost
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.modes import repeatable
from lycoris_bench.training.optimizer import SCHEDULE, available, rate
from lycoris_bench.training.state import State, StateError

STATE_SECONDS = 20.0  # between two saved states: the most training that a kill can lose
STATE_SECONDS_SENT = 300.0  # where they travel, from many machines to one


def train_run(plan: Plan, store: Store, lacking: list[Checkpoint], device: str) -> int:
    """Trains one configuration and seed to its last missing checkpoint; returns the number of
    checkpoints stored. When the loss stops being finite, the remaining checkpoints are marked as
    diverged. BenchError: memory is too small."""
    if not lacking:
        return 0
    try:
        with repeatable(plan.study.settings.training.deterministic):
            return _train_run(plan, store, lacking, device)
    except torch.OutOfMemoryError:
        pass  # outside of here the error no longer holds the tensors
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    raise TooLittleMemory(
        f"the memory of {device} is too small; lower training.batch_size (with a higher "
        "training.gradient_accumulation a step stays the same), or set "
        "training.gradient_checkpointing = true"
    )


class TooLittleMemory(BenchError):
    """A training does not fit; on a machine with more memory it may."""

    of_machine = True


def _train_run(plan: Plan, store: Store, lacking: list[Checkpoint], device: str) -> int:
    last = lacking[-1]
    configuration, seed = last.configuration, last.seed or 0
    settings = plan.study.training(configuration)
    for place in (store.training_state(last), *map(store.checkpoint, lacking)):
        disk.refuse_special(place)
        disk.refuse_special(place.with_suffix(".json"))
    backbone = _backbone(plan.study.settings.base_model, device)
    by_epoch = {checkpoint.epoch or 0: checkpoint for checkpoint in lacking}
    state = store.training_state(last)
    optimizer = available(settings.optimizer, device)
    identity = f"{plan.run_uid(last)}-{optimizer}"  # one's moments are not the other's
    warmup = round(settings.warmup_epochs * plan.steps(1, configuration))
    steps, bound = 0, None
    curves: tensorboard.Board | None = None

    def keep(epoch: int, _: Any, cost: TrainingCost) -> None:
        checkpoint = by_epoch[epoch]
        about = adapter_file.metadata(
            **_about(plan, checkpoint, cost, optimizer),
            base_model_version=backbone.family.base_model_version,
        )
        card = Card(
            plan.checkpoint_uid(checkpoint), "done", cost=asdict(cost), optimizer=optimizer,
            max_norm=asdict(bound.read()) if bound else None, **environment.trained_on(device),
        )  # fmt: skip
        store.put_checkpoint(checkpoint, adapter_file.to_bytes(network.tensors(), about), card)
        made.append(epoch)

    def advance(done: int, total: int, loss: Tensor) -> None:
        nonlocal steps, bound, curves
        bound = network.constrain()
        if settings.tensorboard:
            curves = curves or tensorboard.Board(store.logs(last), done - 1)
            curves.step(done, loss=float(loss), rate=rate(configuration.lr, done - 1, warmup))
        executor.advance(done - steps)
        steps = done

    def save(data: bytes) -> None:
        store.write(state, data)

    made: list[int] = []
    network = attach(
        backbone.unet, backbone.text_encoders, plan.study.preset(configuration),
        configuration.algorithm, configuration.keywords, seed,
    )  # fmt: skip
    try:
        loop.train(
            backbone, network, plan.data_of(configuration),
            _latents(plan, store, backbone, configuration), settings,
            seed=seed, epochs=by_epoch, lr=configuration.lr,
            on_epoch=keep, on_step=advance,
            on_state=save, state_seconds=STATE_SECONDS_SENT if executor.sends() else STATE_SECONDS,
            resume=_resumable(state, identity, min(by_epoch)), identity=identity,
            prior=class_images.prior(plan, store, backbone, configuration),
        )  # fmt: skip
    except (loop.Diverged, adapter_file.AdapterFileError) as diverged:
        for checkpoint in lacking:
            if checkpoint.epoch not in made:
                about = environment.trained_on(device)
                card = Card(plan.checkpoint_uid(checkpoint), "diverged", str(diverged), **about)
                store.put_checkpoint(checkpoint, None, card)
    finally:
        network.detach()
        if curves:
            curves.close()
    state.unlink(missing_ok=True)
    return len(made)


def _about(
    plan: Plan, checkpoint: Checkpoint, cost: TrainingCost, optimizer: str
) -> dict[str, Any]:
    """The training parameters that go into an adapter's metadata, as other trainers write them."""
    settings, configuration = plan.study.settings, checkpoint.configuration
    return {
        "algorithm": configuration.algorithm,
        "preset": configuration.preset,
        "options": configuration.keywords,
        "base_model": Path(settings.base_model).name,
        "name": f"{plan.study.name}-{str(checkpoint).replace('/', '-')}",
        "lr": configuration.lr,
        "seed": checkpoint.seed,
        "epoch": checkpoint.epoch,
        "steps": cost.steps,
        "images": len(plan.data_of(configuration).examples),
        "resolution": (settings.training.resolution, settings.training.resolution),
        "optimizer": optimizer,
        "lr_scheduler": SCHEDULE,
    }


def _resumable(path: Path, identity: str, first: int) -> bytes | None:
    """The saved state at `path`, if it is of the training `identity` and not past the epoch
    `first`, that of the first missing checkpoint; else None."""
    try:
        data = disk.read_bytes(path)
        about = State.from_bytes(data).about
    except (disk.FileError, StateError):
        return None
    return data if about["identity"] == identity and about["epoch"] <= first else None


@cache
def _backbone(base_model: str, device: str) -> Backbone:
    """The base model of this process; each training attaches its adapters and detaches them.

    On a GPU channels lie last, for which convolutions have the faster code there."""
    backbone = Backbone.load(base_model, device=device)
    if backbone.device.type == "cuda":
        backbone.unet.to(memory_format=torch.channels_last)
    return backbone


_encoded: dict[str, LatentCache] = {}


def _latents(
    plan: Plan, store: Store, backbone: Backbone, configuration: Configuration
) -> LatentCache:
    """The training images as latents, encoded once per process, or once on disk."""
    settings, data = plan.study.settings.training, plan.taught.pictures(configuration)
    key = plan.base_uid + data.fingerprint + settings.model_dump_json()
    if key not in _encoded:
        _encoded.clear()
        if settings.cache_latents:
            vae = fingerprint(plan.study.settings.base_model, ["vae"])
            _encoded[key] = latent_cache.stored(
                backbone, data, settings, disk.cache_folder() / "latents" / vae, store.write
            )
        else:
            _encoded[key] = LatentCache.encode(backbone, data, settings)
    return _encoded[key]
