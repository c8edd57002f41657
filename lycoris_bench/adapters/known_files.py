"""Which layer each tensor of a file belongs to, remembered for the next file of the same kind."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from lycoris_bench.adapters.formats.adapter_file import by_layer
from lycoris_bench.adapters.matching import Match

Layers = dict[str, dict[str, Tensor]]  # layer -> name -> tensor
MOST = 32  # kinds that are remembered


class KnownFiles:
    """Files matched with one model's layers. Names, shapes and dtypes decide the match, so that a
    study's checkpoints of one kind are matched once. No tensor is kept."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[dict[str, dict[str, str]], Match]] = {}

    def read(
        self, tensors: Mapping[str, Tensor], match: Callable[[Layers], Match]
    ) -> tuple[Layers, Match]:
        """A file's tensors by layer, and what `match` makes of them. Raises what reading and
        matching raise."""
        kind = tuple((key, value.shape, value.dtype) for key, value in tensors.items())
        if kind not in self._known:
            layers = by_layer(tensors)
            found = match(layers)
            keys = _keys(tensors, layers)
            if keys is not None and found.complete:
                if len(self._known) >= MOST:
                    self._known.clear()
                self._known[kind] = keys, _with(found, {})
            return layers, found
        keys, found = self._known[kind]
        layers = {
            layer: {name: tensors[key] for name, key in names.items()}
            for layer, names in keys.items()
        }
        return layers, _with(found, layers)


def _with(match: Match, layers: Layers) -> Match:
    """The match with the tensors of these layers; without tensors where there are none."""
    places = match.layers.items()
    found = {place: replace(old, tensors=layers.get(old.name, {})) for place, old in places}
    return replace(match, layers=found)


def _keys(tensors: Mapping[str, Tensor], layers: Layers) -> dict[str, dict[str, str]] | None:
    """Layer -> name -> the file's own name of the tensor; None where reading the file took more
    than finding a place for each of its tensors."""
    keys = {id(value): key for key, value in tensors.items()}
    placed = [id(value) for names in layers.values() for value in names.values()]
    if not len(keys) == len(tensors) == len(placed) or keys.keys() != set(placed):
        return None
    return {
        layer: {name: keys[id(value)] for name, value in names.items()}
        for layer, names in layers.items()
    }
