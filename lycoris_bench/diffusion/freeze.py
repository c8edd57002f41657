"""Which parameters learn while an adapter is trained, and how everything is put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from lycoris_bench.diffusion.backbone import Backbone
from lycoris_bench.errors import BenchError


@contextmanager
def only(network: nn.Module, backbone: Backbone) -> Iterator[list[nn.Parameter]]:
    """Gradients for the network's parameters alone, its modules in train mode; then gradient
    switches, modes and the random state are as before. Yields the parameters.

    Raises a `ValueError` where there is nothing to train."""
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise BenchError("the adapter has no parameter to train")
    chosen = {id(p) for p in trained}
    parts: list[Any] = [backbone.unet, *backbone.text_encoders, backbone.vae, network]
    switches = {id(p): (p, p.requires_grad) for part in parts for p in part.parameters()}
    modes = [(module, module.training) for part in parts for module in part.modules()]
    devices = [] if backbone.device.type == "cpu" else [backbone.device]
    try:
        for parameter, _ in switches.values():
            parameter.requires_grad_(id(parameter) in chosen)
        network.train()
        with torch.random.fork_rng(devices):
            yield trained
    finally:
        for parameter, needed in switches.values():
            parameter.requires_grad_(needed)
            parameter.grad = None
        for module, training in modes:
            module.training = training
