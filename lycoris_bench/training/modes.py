"""How the models are switched while an adapter is trained: which parameters learn, and whether
activations are kept. Afterwards everything is as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone


@contextmanager
def trainable_only(network: nn.Module, backbone: Backbone) -> Iterator[list[nn.Parameter]]:
    """Within it the network's parameters alone have gradients and its modules are in train mode;
    then gradient switches, modes and the random state are as before. Yields the parameters.

    Raises `BenchError` where there is nothing to train."""
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


@contextmanager
def gradient_checkpointing(backbone: Backbone, wanted: bool = True) -> Iterator[None]:
    """Within it U-Net and text encoders keep what enters a block and nothing inside. Numbers stay
    the same: a block's randomness is drawn again as it was."""
    if not wanted:
        yield
        return
    models = [backbone.unet, *backbone.text_encoders]
    modes = [(module, module.training) for model in models for module in model.modules()]
    backbone.unet.enable_gradient_checkpointing()
    for encoder in backbone.text_encoders:
        _switch(encoder, "enable", {"use_reentrant": False})
    for module, _ in modes:
        # Blocks ask for train mode; the rest stays in eval mode, where nothing is dropped.
        if getattr(module, "gradient_checkpointing", False):
            module.training = True
    try:
        yield
    finally:
        backbone.unet.disable_gradient_checkpointing()
        for encoder in backbone.text_encoders:
            _switch(encoder, "disable")
        for module, training in modes:
            module.training = training


def _switch(encoder: Any, how: str, *given: Any) -> None:
    """The method has another name since transformers 5; an encoder without one stays as it is."""
    names = (f"activation_checkpointing_{how}", f"gradient_checkpointing_{how}")
    method = next((getattr(encoder, name) for name in names if hasattr(encoder, name)), None)
    if method:
        method(*given)
