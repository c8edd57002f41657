"""Recognises the algorithm of a layer's tensors by their names and shapes."""

from collections.abc import Mapping

from torch import Tensor

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.norm import NormShift


def kinds() -> dict[str, type[Adapter]]:
    """Every algorithm by name, and "norm", which all algorithms train in the same way."""
    return {**ALGORITHMS.entries(), "norm": NormShift}


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, type[Adapter]] | None:
    """(algorithm, class) of one layer's tensors, by names and shapes; None if none knows them."""
    for algorithm, kind in kinds().items():
        if kind.recognises(tensors):
            return algorithm, kind
    return None


def description(tensors: Mapping[str, Tensor]) -> str:
    """A phrase for one layer's algorithm: "LoKr", "LoRA with dora_scale", ..."""
    recognised = recognise(tensors)
    if recognised is None:
        return f"of no known algorithm ({', '.join(sorted(tensors))})"
    return recognised[1].described(tensors)


def kind_of(tensors: Mapping[str, Tensor]) -> str:
    """The algorithm's name; "unknown" where none has these tensors."""
    recognised = recognise(tensors)
    return recognised[0] if recognised else "unknown"
