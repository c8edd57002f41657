"""Gradient checkpointing: activations are made again on the way back instead of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lycoris_bench.diffusion.backbone import Backbone


@contextmanager
def recomputed(backbone: Backbone, wanted: bool = True) -> Iterator[None]:
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
    """The method is called otherwise since transformers 5."""
    new = getattr(encoder, f"activation_checkpointing_{how}", None)
    (new or getattr(encoder, f"gradient_checkpointing_{how}"))(*given)
