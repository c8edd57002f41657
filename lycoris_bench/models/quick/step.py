"""A training step in fp32 on a CPU: the same equations and gradients by faster products. Only the
order of sums differs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from lycoris_bench.models.quick.attention import Processor, plain
from lycoris_bench.models.quick.products import exact, linear, quick_products


@contextmanager
def quick_steps(models: Sequence[Any], wanted: bool = True) -> Iterator[None]:
    """Within it linear layers of the models, and attention that computes no more than diffusers'
    plain one, take their products from this package; adapters on them do so themselves. Afterwards
    everything is as it was. Nothing changes where not `wanted`, or where the CPU's faster products
    are less exact."""
    with ExitStack() as left:
        if wanted and exact():
            left.enter_context(quick_products())
            for module in {module for model in models for module in model.modules()}:
                if change := _changed(module):
                    left.enter_context(_replaced(module, *change))
        yield


@contextmanager
def _replaced(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    """Within it an attribute of a module has this value."""
    own = vars(module).get(name)
    setattr(module, name, value)
    try:
        yield
    finally:
        if own is None:  # its class's
            delattr(module, name)
        else:
            setattr(module, name, own)


def _changed(module: Any) -> tuple[str, Any] | None:
    """The attribute of a layer that is replaced, and by what."""
    if type(module).__name__ == "Attention" and plain(module):
        return "processor", Processor()
    own = type(module).forward is nn.Linear.forward and "forward" not in vars(module)
    if isinstance(module, nn.Linear) and own:
        return "forward", partial(_linear, module)
    return None


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return linear(x, layer.weight, layer.bias)
