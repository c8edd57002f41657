"""The merged weight W' = W + strength · ΔW: the one definition that merging, conversion and tests
share."""

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter, Tensors, add, full_precision
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.messages.arguments import FINITE, TABLE, Allowed
from lycoris_bench.messages.errors import BenchError, doing, explained
from lycoris_bench.registry import origin, titled

LAYER = Allowed(
    "a mapping of one layer's tensors by name, as read_adapter(file)[layer] gives it,",
    lambda value: TABLE.holds(value) and all(isinstance(one, Tensor) for one in value.values()),
)
WEIGHT = Allowed("a tensor", lambda value: isinstance(value, Tensor))
NO_BIAS = "the adapter has a bias update (diff_b) but this layer has no bias"


def merged_weight(tensors: Tensors, weight: Tensor, strength: float = 1.0) -> Tensor:
    """W' = W + strength · ΔW of one layer, in W's dtype; ΔW is computed in fp32.

    `tensors` are one layer's, under the names of a file without its prefix (`lora_up.weight`,
    `hada_w1_a`, `alpha`, ...), of any dtype. Names and shapes alone decide the algorithm.
    BenchError: no algorithm knows the tensors, they do not fit W, they are those of several layers
    or no tensors, W is no tensor, or the strength is no finite number."""
    LAYER.check("tensors", tensors)
    WEIGHT.check("weight", weight)
    FINITE.check("strength", strength)
    change, _ = changes(tensors, weight)
    return add(weight, (change, float(strength)))


def merged_bias(tensors: Tensors, bias: Tensor | None, strength: float = 1.0) -> Tensor | None:
    """b' = b + strength · Δb of one layer, in b's dtype; b itself where there is no Δb.

    BenchError: the layer has no bias, or one of another shape."""
    shift = _kind(tensors).bias_from(tensors)
    if shift is None:
        return bias
    check_bias(shift.shape, None if bias is None else bias.shape)
    assert bias is not None
    return add(bias, (shift.to(bias.device, torch.float32), strength))


def check_bias(shift: torch.Size, bias: torch.Size | None) -> None:
    """BenchError: a bias update of shape `shift` does not fit the layer's bias; `bias` is the
    shape of that, None where the layer has none."""
    if bias is None:
        raise BenchError(NO_BIAS)
    if bias != shift:
        raise BenchError(f"the adapter's bias update has shape {tuple(shift)} but this layer's "
                         f"bias has shape {tuple(bias)}")  # fmt: skip


@torch.no_grad()
def changes(
    tensors: Tensors, weight: Tensor, precision: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor | None]:
    """(ΔW, Δb) of one layer on W's device, computed in `precision`: fp32 to merge, float64 to
    measure errors. Δb is None where the bias stays."""
    kind = _kind(tensors)
    working = torch.float64 if any(_beyond_fp32(value) for value in tensors.values()) else precision
    converted = {
        name: value if not value.is_floating_point()
        else value.to(weight.device, working) if value.dim()
        else value.to(working)  # a single number is asked for its value
        for name, value in tensors.items()
    }  # fmt: skip
    name = titled("adapter", kind.__name__, kind)
    try:
        with full_precision(weight), doing(f"computing ΔW by {name}"):
            change, shift = kind.delta_from(converted, weight), kind.bias_from(converted)
    except (KeyError, RuntimeError, IndexError) as error:
        missing = f": '{error.args[0]}' is missing" if isinstance(error, KeyError) else ""
        raise BenchError(
            f"{_shapes(tensors)} do not fit a weight of {_shape(weight)}{missing}"
            + (f" ({explained(error)})" if origin(kind) else "")
        ) from None
    return change.to(precision), None if shift is None else shift.to(precision)


def _beyond_fp32(value: Tensor) -> bool:
    """Whether fp32 would turn numbers of the tensor into infinities or zeros."""
    if value.dtype != torch.float64 or not value.numel():
        return False
    exact = value.abs()
    short = exact.float()
    return bool((short.isinf() | ((short == 0) & (exact > 0))).any())


def _kind(tensors: Tensors) -> type[Adapter]:
    recognised = recognise(tensors)
    if recognised is None:
        raise BenchError(f"no algorithm has the tensors {_shapes(tensors) or 'of an empty layer'}")
    return recognised[1]


def _shapes(tensors: Tensors) -> str:
    return ", ".join(f"{name} {_shape(value)}" for name, value in sorted(tensors.items()))


def _shape(value: Tensor) -> tuple[int, ...]:
    return tuple(value.shape)
