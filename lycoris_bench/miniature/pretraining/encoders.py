"""Trains the oracle and the three encoders on renders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from lycoris_bench.miniature.concepts.identities import VIEWS, identity_set
from lycoris_bench.miniature.networks import (
    END_TOKEN,
    TEXT_LENGTH,
    GramNetwork,
    ImageEncoder,
    ImageTextEncoder,
)
from lycoris_bench.miniature.pretraining.fitting import Schedule, fit, generators
from lycoris_bench.miniature.world.captions import describe, sentence
from lycoris_bench.miniature.world.oracle import ATTRIBUTES, Oracle, labels
from lycoris_bench.miniature.world.scene import Scene

ORACLE = Schedule(steps=2500, rate=3e-3, seed=21, ema=0.99)
IMAGE_TEXT = Schedule(steps=1400, rate=2e-3, seed=22, ema=0.99)
IMAGE = Schedule(steps=1500, rate=2e-3, seed=23, ema=0.99)
GRAM = Schedule(steps=2500, rate=2e-3, seed=24, ema=0.99)
BATCH = 64


def to_pixels(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) to float (n, 3, h, w) in -1..1, channels last."""
    return (
        torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    ).contiguous(memory_format=torch.channels_last)


def roughen(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random blur and noise, so that pictures of a generator are read as well as renders."""
    n = len(x)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.lerp(x, soft, torch.rand(n, 1, 1, 1, generator=generator) ** 2)
    level = 0.08 * torch.rand(n, 1, 1, 1, generator=generator) ** 2
    gain = 1 + 0.08 * torch.randn(n, 1, 1, 1, generator=generator)
    return x * gain + level * torch.randn(x.shape, generator=generator)


def save_half(network: nn.Module, path: Path) -> None:
    """Write the weights as float16 safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            k: v.half().contiguous() if v.is_floating_point() else v
            for k, v in network.state_dict().items()
        },
        path,
    )


def _attribute_loss(
    logits: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], index: np.ndarray
) -> torch.Tensor:
    return sum(
        (F.cross_entropy(v.float(), truth[k][index]) for k, v in logits.items()),
        start=torch.zeros(()),
    )


def train_oracle(work: Path, scenes: list[Scene], pictures: np.ndarray, out: Path) -> None:
    """Attribute classification."""
    torch.manual_seed(2)
    oracle, truth = Oracle().to(memory_format=torch.channels_last), labels(scenes)

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(ORACLE.seed, step)
        index = rng.integers(0, len(scenes), BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            logits = oracle.train()(roughen(to_pixels(pictures[index]), generator))
        return _attribute_loss(logits, truth, index)

    save_half(fit("oracle", oracle, loss_of, ORACLE, work), out)


def caption_ids(tokenizer: Callable[..., Any], scenes: list[Scene], seed: int) -> torch.Tensor:
    """Token ids of one random caption a scene, (n, 32): whole sentences and loose tags."""
    rng = np.random.default_rng(seed)
    texts = [sentence(s, rng) if rng.random() < 0.4 else describe(s, rng) for s in scenes]
    return tokenizer(
        texts, padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids


def train_image_text(
    work: Path, scenes: list[Scene], pictures: np.ndarray, tokenizer: Callable[..., Any], out: Path
) -> None:
    """Contrast between pictures and captions of a batch."""
    torch.manual_seed(3)
    network = ImageTextEncoder().to(memory_format=torch.channels_last)
    ids = [caption_ids(tokenizer, scenes, 50 + k) for k in range(3)]

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(IMAGE_TEXT.seed, step)
        index = rng.integers(0, len(scenes), 2 * BATCH)
        text = ids[int(rng.integers(len(ids)))][index]
        text = text[:, : int((text != END_TOKEN).sum(1).max())]
        with torch.autocast("cpu", torch.bfloat16):
            logits = network.train()(roughen(to_pixels(pictures[index]), generator), text).float()
        target = torch.arange(len(index))
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    save_half(fit("image-text", network, loss_of, IMAGE_TEXT, work), out)


def _group_contrast(features: torch.Tensor, group: torch.Tensor, heat: float = 0.1) -> torch.Tensor:
    """Supervised contrast: features of one group attract, all others repel."""
    z = F.normalize(features.float(), dim=1)
    logits = z @ z.T / heat - 1e4 * torch.eye(len(z))
    same = (group[:, None] == group[None, :]).float() - torch.eye(len(z))
    log_share = logits - logits.logsumexp(1, keepdim=True)
    return -((log_share * same).sum(1) / same.sum(1).clamp(min=1)).mean()


def train_image(work: Path, scenes: list[Scene], pictures: np.ndarray, out: Path) -> None:
    """Identity contrast over random figures, and the world's attributes by linear heads."""
    torch.manual_seed(4)
    figures, truth = identity_set(work), labels(scenes)
    model = nn.ModuleDict(
        {
            "encoder": ImageEncoder(),
            **{k: nn.Linear(128, len(v)) for k, v in ATTRIBUTES.items() if k != "position"},
        }
    )
    model = model.to(memory_format=torch.channels_last)

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(IMAGE.seed, step)
        index = rng.integers(0, len(scenes), BATCH)
        who = np.repeat(rng.choice(len(figures), 24, replace=False), 3)
        view = np.concatenate([rng.choice(VIEWS, 3, replace=False) for _ in range(24)])
        x = to_pixels(np.concatenate([pictures[index], figures[who, view]]))
        with torch.autocast("cpu", torch.bfloat16):
            features = model["encoder"].train()(roughen(x, generator)).float()
        z = F.normalize(features[:BATCH], dim=1) * 8
        logits = {k: model[k](z) for k in model if k != "encoder"}
        return _group_contrast(features[BATCH:], torch.from_numpy(who)) + 0.5 * _attribute_loss(
            logits, truth, index
        )

    save_half(fit("image", model, loss_of, IMAGE, work)["encoder"], out)


def train_gram(work: Path, scenes: list[Scene], pictures: np.ndarray, out: Path) -> None:
    """Style and object classification."""
    torch.manual_seed(5)
    network, truth = GramNetwork().to(memory_format=torch.channels_last), labels(scenes)

    def loss_of(step: int) -> torch.Tensor:
        rng, generator = generators(GRAM.seed, step)
        index = rng.integers(0, len(scenes), BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            style, thing = network.classify(roughen(to_pixels(pictures[index]), generator))
        return _attribute_loss({"style": style, "object": thing}, truth, index)

    save_half(fit("gram", network, loss_of, GRAM, work), out)
