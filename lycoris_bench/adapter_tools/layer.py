"""One layer of an adapter file without a model: its algorithm, its shape, and whether it needs a
base model."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.errors import BenchError

Tensors = Mapping[str, Tensor]
KERNEL = re.compile(r"conv(?!_shortcut)|(?:in|out)_layers|skip_connection|[_.]op$|_blocks_0_0$")


class NeedsModel(BenchError):
    """The change cannot be computed without the base model's weights."""


def kind(tensors: Tensors) -> type[Adapter]:
    """The algorithm's class; `AdapterFileError` where none has these tensors."""
    recognised = recognise(tensors)
    if recognised is None:
        raise AdapterFileError(f"no algorithm has the tensors {', '.join(tensors)}")
    return recognised[1]


def depends_on_weight(tensors: Tensors) -> bool:
    """Whether ΔW depends on the numbers of W."""
    recognised = recognise(tensors)
    return recognised is not None and recognised[1].depends_on_weight(tensors)


def needs_model(tensors: Tensors) -> bool:
    """Whether ΔW needs a base model: it depends on W, or the tensors do not show W's shape."""
    return depends_on_weight(tensors) or kind(tensors).weight_shape(tensors) is None


def shape_of(tensors: Tensors) -> torch.Size:
    """W's shape as far as the tensors tell (`Knowledge.weight_shape`). `NeedsModel` where only W
    has it, `AdapterFileError` for factors that are missing or do not fit each other."""
    algorithm = kind(tensors)
    try:
        shape = algorithm.weight_shape(tensors)
    except BenchError as error:
        raise AdapterFileError(str(error)) from None
    if shape is None:
        raise NeedsModel(f"the tensors of {algorithm.described(tensors)} do not tell the weight's "
                         "shape: give --model")  # fmt: skip
    return shape


def is_unrolled(name: str, tensors: Tensors) -> bool:
    """Whether the layer is, by its name, a convolution whose kernel the tensors do not show."""
    matrix = kind(tensors).unrolled and len(shape_of(tensors)) == 2
    return matrix and KERNEL.search(name) is not None


def alpha(tensors: Tensors) -> float | None:
    """The file's alpha; None where it has none."""
    return float(tensors["alpha"]) if "alpha" in tensors else None
