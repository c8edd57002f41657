"""A denoiser's training step in fp32 on a CPU: the same equations and gradients, in fewer copies
and by faster products. Only the order of sums differs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from lycoris_bench.models.quick.attention import Processor, plain
from lycoris_bench.models.quick.layers import by_pixel, gated, pointwise
from lycoris_bench.models.quick.products import by_onednn, exact


@contextmanager
def quick_steps(denoiser: Any, text_encoders: Sequence[Any], wanted: bool = True) -> Iterator[None]:
    """Within it layers that are known compute as this package does; adapters on them stay, and
    afterwards everything is as it was. Nothing changes where not `wanted`, or where the CPU's
    faster products would be less exact."""
    with ExitStack() as left:
        if wanted and exact():
            left.enter_context(by_onednn())
            for module in denoiser.modules():
                for name, value in _changes(module):
                    left.enter_context(_replaced(module, name, value))
            for encoder in text_encoders:
                left.enter_context(_by_products(encoder))
        yield


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Within it an attribute of a module has this value; its class's own is hidden, not lost."""
    own = {name: getattr(module, name)} if name in {**vars(module), **module._modules} else {}
    setattr(module, name, value)
    try:
        yield
    finally:
        delattr(module, name)
        for name, value in own.items():
            setattr(module, name, value)


@contextmanager
def _by_products(encoder: Any) -> Iterator[None]:
    """Within it the attention of a text encoder is products: oneDNN is slow at the small blocks of
    torch's fused kernel."""
    switch = getattr(encoder, "set_attn_implementation", None)
    before = getattr(encoder.config, "_attn_implementation", None)
    if switch is None or before != "sdpa":
        yield
        return
    switch("eager")
    try:
        yield
    finally:
        switch(before)


def _changes(module: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer that are replaced, and by what."""
    match type(module).__name__:
        case "Attention" if plain(module):
            yield "processor", Processor()
        case "GEGLU" if "forward" not in vars(module):
            yield "forward", partial(gated, module)
        case "Conv2d" if pointwise(module):
            yield "_conv_forward", by_pixel
