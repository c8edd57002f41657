"""How the models are switched while an adapter is trained: which parameters learn, and whether
activations are kept. Afterwards everything is as it was."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone

ROUNDED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # what autocast computes in half precision


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
    # torch knows how to fork the generators of the CPU and of CUDA in every version
    devices = [backbone.device] if backbone.device.type == "cuda" else []
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


@contextmanager
def frozen_in(backbone: Backbone, dtype: torch.dtype, wanted: bool = True) -> Iterator[None]:
    """Within it frozen layers without an adapter are held in the precision that autocast computes
    them in, where it would round them anew in each step. Numbers stay the same, and afterwards the
    weights; a GPU has more room, as these wait on the CPU."""
    if not wanted:
        yield
        return
    waiting: list[tuple[nn.Parameter, torch.Tensor]] = []
    aside = torch.device("cpu")
    try:
        for model in (backbone.unet, *backbone.text_encoders):
            for module in model.modules():
                if type(module) not in ROUNDED or "forward" in vars(module):
                    continue
                for parameter in module.parameters(recurse=False):
                    if not parameter.requires_grad and parameter.dtype == torch.float32:
                        waiting.append((parameter, parameter.data.to(aside)))
                        parameter.data = parameter.data.to(dtype)
        yield
    finally:
        for parameter, value in waiting:
            parameter.data = value.to(backbone.device)


@contextmanager
def repeatable(wanted: bool = True) -> Iterator[None]:
    """Within it torch computes by algorithms that give the same bits each time, or raises; some
    of CUDA's add numbers in the order in which they happen to be there. It must begin before the
    first product on a GPU, as cuBLAS reads its setting once."""
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    convolutions = torch.backends.cudnn.deterministic
    # not to warn only: then attention would keep to its quicker backward pass
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # no result depends on it
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        memory.fill_uninitialized_memory = filled
        torch.backends.cudnn.deterministic = convolutions


def _switch(encoder: Any, how: str, *given: Any) -> None:
    """The method has another name since transformers 5; an encoder without one stays as it is."""
    names = (f"activation_checkpointing_{how}", f"gradient_checkpointing_{how}")
    method = next((getattr(encoder, name) for name in names if hasattr(encoder, name)), None)
    if method:
        method(*given)
