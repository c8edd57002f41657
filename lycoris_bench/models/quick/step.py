"""A denoiser's training step in fp32 on a CPU: the same equations and gradients, in fewer copies
and by faster products. Only the order of sums differs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from lycoris_bench.models.quick.attention import Processor, plain
from lycoris_bench.models.quick.layers import gated
from lycoris_bench.models.quick.products import exact, linear, quick_products


@contextmanager
def quick_steps(models: Sequence[Any], wanted: bool = True) -> Iterator[None]:
    """Within it layers that are known compute as this package does; adapters on them stay, and
    afterwards everything is as it was. Nothing changes where not `wanted`, or where the CPU's
    faster products would be less exact."""
    with ExitStack() as left:
        if wanted and exact():
            left.enter_context(quick_products())
            for module in {module for model in models for module in model.modules()}:
                for name, value in _changes(module):
                    left.enter_context(_replaced(module, name, value))
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


def _changes(module: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer that are replaced, and by what."""
    match type(module).__name__:
        case "Attention" if plain(module):
            yield "processor", Processor()
        case "GEGLU" if "forward" not in vars(module):
            yield "forward", partial(gated, module)
        case _ if isinstance(module, nn.Linear) and "forward" not in vars(module):
            yield "forward", partial(_linear, module)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return linear(x, layer.weight, layer.bias)
