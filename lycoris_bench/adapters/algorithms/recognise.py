"""Which algorithm a layer's tensors are of."""

from collections.abc import Mapping

from torch import Tensor

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.norm import NormShift


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, type[Adapter]] | None:
    """(algorithm, class) of one layer's tensors, by names and shapes; None if none knows them."""
    for algorithm, kind in {**ALGORITHMS.entries(), "norm": NormShift}.items():
        if kind.recognises(tensors):
            return algorithm, kind
    return None
