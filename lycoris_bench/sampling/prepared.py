"""A base model made fast to draw with."""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.quick.memory import keep_freed_memory

SHAPES = 64  # of a compiled U-Net's inputs: text of 1, 2, ... chunks, in a whole or a last batch
CACHE = "TORCHINDUCTOR_CACHE_DIR"


def optimize_for_inference(backbone: Backbone, compiled: bool = False) -> Backbone:
    """The same backbone, made fast to draw with: channels last, which is what its convolutions are
    fast at, and `compiled` with a U-Net that torch.compile rewrites at its first call.

    Merging writes into the weights in place, so that it is compiled once for all checkpoints, and
    again for each other size of a batch. What was compiled is kept for later processes."""
    if backbone.device.type == "cpu":
        keep_freed_memory()
    for model in (backbone.unet, backbone.vae):
        model.to(memory_format=torch.channels_last)
    if compiled:
        _compile(backbone)
    return backbone


def _compile(backbone: Backbone) -> None:
    os.environ.setdefault(CACHE, str(_cache()))
    if backbone.device.type != "mps" and not _compiler():
        warnings.warn(
            "sampling.compile needs a C++ compiler, and none was found: images are drawn without "
            "it; install g++ or clang, or name one in the variable CXX",
            stacklevel=3,
        )
        return
    # From the ninth shape on, torch would go on without compiling.
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    backbone.unet.compile(dynamic=False)
    backbone.unet._compiled_call_impl = _OrPlain(backbone.unet)


class _OrPlain:
    """A compiled U-Net that goes on as it is, with one warning, where compiling fails."""

    def __init__(self, unet: Any) -> None:
        self.unet, self.call = unet, unet._compiled_call_impl

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        try:
            return self.call(*args, **keywords)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            warnings.warn(f"torch.compile failed, and images are drawn without it: {error}",
                          stacklevel=2)  # fmt: skip
            self.unet._compiled_call_impl = None
            return self.unet(*args, **keywords)


def _compiler() -> str | None:
    """The compiler that torch would call."""
    return shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("clang++")


def _cache() -> Path:
    """The user's folder of caches."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "lycoris-bench" / "compiled"
