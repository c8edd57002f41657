"""The published encoders with random weights, at full width or narrowed: what can be timed and
compared without downloading any of them."""

from dataclasses import replace
from typing import Any

import timm
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders import ENCODERS, convnextv2_l, dinov2_l, vgg19
from lycoris_bench.scoring.encoders.arithmetic import placed
from lycoris_bench.scoring.encoders.base import Encoder

NARROW: dict[str, dict[str, Any]] = {
    "dinov2-l": {"embed_dim": 128, "depth": 2, "num_heads": 2},
    "clip-l-datacomp": {"embed_dim": 128, "depth": 2, "num_heads": 2},
    "convnextv2-l": {"depths": (1, 1, 2, 1), "dims": (24, 48, 96, 192)},
}


def random_encoder(spec: str, device: str = "cpu", narrow: bool = False, seed: int = 0) -> Encoder:
    """The encoder of a spec such as `dinov2-l:crop`, whose network has random weights. In place of
    OpenCLIP's is timm's ViT-L/14, which has the same shape and no text side."""
    record = replace(encoders.record(spec), sha256=f"random {seed}{' narrow' if narrow else ''}")
    encoder: Any = object.__new__(ENCODERS.get(record.name))
    encoder.record, encoder.device = record, torch.device(device)
    torch.manual_seed(seed)
    with torch.device(device):
        network = _network(record.name, record.size, narrow).eval().requires_grad_(False)
    network = placed(network, encoder.device)
    setattr(encoder, "layers" if record.name == "vgg19" else "network", network)
    if record.name == "clip-l-datacomp":
        network.encode_image = network.forward
    made: Encoder = encoder
    return made


def _network(name: str, size: int, narrow: bool) -> nn.Module:
    options = NARROW.get(name, {}) if narrow else {}
    if name == "vgg19":
        widths = [w if isinstance(w, str) else w // 8 if narrow else w for w in cfgs["E"]]
        return make_layers(widths)[: max(vgg19.TAPS) + 1]
    if name == "convnextv2-l":
        model: nn.Module = timm.create_model(
            convnextv2_l.MODEL, pretrained=False, num_classes=0, **options
        )
        return model
    vit = dinov2_l.MODEL if name == "dinov2-l" else "vit_large_patch14_clip_224"
    model = timm.create_model(vit, pretrained=False, num_classes=0, img_size=size, **options)
    return model
