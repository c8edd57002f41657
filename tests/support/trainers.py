"""Checkpoints for the miniature model as other programs write them."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.study.places import locate

BASE = locate("package:miniature/weights/base", Path())
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def ours(path: Path, seed: int = 5, size: float = 0.05, **metadata: str) -> Path:
    """A LoRA as this package writes it, moved at random from its start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(adapter_file.to_bytes(lora(seed, size), metadata))
    return path


@cache
def lora(seed: int, size: float) -> dict[str, torch.Tensor]:
    backbone = Backbone.load(BASE)
    network = attach(backbone.unet, backbone.text_encoder, "attn-only", "lora", {"dim": 2}, seed)
    moved(network.parameters(), seed, size)
    return network.tensors()


def of_peft(folder: Path, seed: int = 6, size: float = 0.05) -> Path:
    """A folder of PEFT's with a LoRA of the U-Net."""
    peft = pytest.importorskip("peft", reason="peft is not installed")
    config = peft.LoraConfig(r=3, lora_alpha=3, target_modules=TARGETS, init_lora_weights=True)
    model = peft.get_peft_model(Backbone.load(BASE).unet, config)
    moved([p for p in model.parameters() if p.requires_grad], seed, size)
    model.save_pretrained(str(folder))
    return folder


def of_lycoris(path: Path, seed: int = 7, size: float = 0.3) -> Path:
    """A LoHa as lycoris-lora writes it."""
    lycoris = pytest.importorskip("lycoris", reason="lycoris-lora is not installed")
    lycoris.LycorisNetwork.apply_preset({"target_module": ["Attention"]})
    network = lycoris.create_lycoris(
        Backbone.load(BASE).unet, 1.0, linear_dim=2, linear_alpha=1.0, algo="loha"
    )
    network.apply_to()
    moved(network.parameters(), seed, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    network.save_weights(str(path), torch.float32, {})
    return path


@torch.no_grad()
def moved(parameters: Any, seed: int, size: float) -> None:
    """Moves parameters by normal numbers of this size."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
