"""Merges adapter files into a model's weights, in place and always from the base weights."""

import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import add
from lycoris_bench.adapters.delta import changes, check_bias
from lycoris_bench.adapters.formats.adapter_file import by_layer
from lycoris_bench.adapters.formats.families import family_of
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.matching import AdapterMismatch, Match, Matched, matched
from lycoris_bench.adapters.presets.layers import (
    Models,
    Target,
    TextEncoders,
    directory,
    layers,
    models,
)

File = tuple[Mapping[str, dict[str, Tensor]], float]  # an adapter by layer, strength
Part = tuple[Matched, float]  # a layer in a file, strength


@dataclass(frozen=True)
class MergeReport:
    """What a merge changed: the proof that an adapter was applied.

    `matched`: the number of layers that were changed; `unmatched`: layer names in the files that
    were left out; `algorithms`: those of the merged layers; `change`: block ->
    |strength · ΔW| / |W| over the block's changed layers."""

    matched: int
    unmatched: tuple[str, ...]
    algorithms: tuple[str, ...]
    change: dict[str, float]


class Merger:
    """Writes base + strength · ΔW into the weights' own storage, so that compiled code and
    captured graphs stay valid. It keeps a copy of the base of each changed weight, so that an
    earlier merge leaves no trace."""

    def __init__(self, unet: Models, text_encoders: TextEncoders = None) -> None:
        targets = layers(unet, text_encoders)
        self._layers = {(target.model, target.path): target for target in targets}
        self._directory = directory(models(unet, text_encoders))
        self._family = family_of({target.name: target.inputs for target in targets})
        self._base: dict[Tensor, tuple[Tensor, Tensor]] = {}  # parameter -> copy and its norm
        self._changed: set[Tensor] = set()

    def merge(self, tensors: Mapping[str, Tensor], strength: float = 1.0) -> MergeReport:
        """Sets the weights to base + strength · ΔW, whatever was merged before.

        AdapterMismatch: no layer matches, one has another shape, or a number is not finite. Warns,
        naming the others, where only some layers match. After any error the model is the base."""
        return self.merge_all([(tensors, strength)])

    def merge_all(self, adapters: Sequence[tuple[Mapping[str, Tensor], float]]) -> MergeReport:
        """Sets the weights to base + the sum of strength · ΔW, with each ΔW computed from the
        base."""
        try:
            return self._merge([(by_layer(tensors), strength) for tensors, strength in adapters])
        except AdapterFileError as error:
            self.restore()
            raise AdapterMismatch(str(error)) from None
        except Exception:
            self.restore()
            raise

    def restore(self) -> None:
        """Restores the base weights bit by bit."""
        self._put_back(self._changed)
        self._changed = set()

    def _merge(self, files: Sequence[File]) -> MergeReport:
        matches = [self._match(file) for file, _ in files]
        work: dict[tuple[str, str], list[Part]] = defaultdict(list)
        for match, (_, strength) in zip(matches, files, strict=True):
            for place, layer in match.layers.items():
                work[place].append((layer, strength))
        stale = set(self._changed)
        norms: dict[str, list[Tensor]] = defaultdict(list)
        for place, parts in work.items():
            target = self._layers[place]
            written, sizes = self._write(target, parts)
            stale -= written
            norms[target.block] += sizes
        self._put_back(stale)
        self._changed -= stale
        left_out = [name for match in matches for name in (*match.missing, *match.unknown)]
        return MergeReport(
            matched=len(work),
            unmatched=tuple(dict.fromkeys(left_out)),
            algorithms=tuple(
                sorted({layer.algorithm for parts in work.values() for layer, _ in parts})
            ),
            change={block: _relative(block, sizes, files) for block, sizes in norms.items()},
        )

    @torch.no_grad()
    def _put_back(self, parameters: set[Tensor]) -> None:
        for parameter in parameters:
            parameter.copy_(self._base[parameter][0])

    def _match(self, file: Mapping[str, dict[str, Tensor]]) -> Match:
        match = matched(file, self._directory, self._family, "the adapter", "the model")
        if not match.complete:
            warnings.warn(
                f"the adapter is applied in part: {len(file) - len(match.layers)} of its "
                f"{len(file)} layers are left out: {match.sentence()}",
                stacklevel=5,
            )
        return match

    def _kept(self, parameter: Tensor) -> tuple[Tensor, Tensor]:
        """The parameter's base value and its norm, copied before its first change."""
        if parameter not in self._base:
            base = parameter.detach().clone()
            self._base[parameter] = base, _norm(base)
        return self._base[parameter]

    @torch.no_grad()
    def _write(self, target: Target, parts: list[Part]) -> tuple[set[Tensor], list[Tensor]]:
        """Merges one layer; returns the parameters it changed, and (|sum of changes|, |base|) of
        each."""
        weight, bias = target.weight, target.bias
        moved: dict[Tensor, list[tuple[Tensor, float]]] = {}
        for layer, strength in parts:
            try:
                change, shift = changes(layer.tensors, self._kept(weight)[0])
                if shift is not None:
                    check_bias(shift.shape, None if bias is None else bias.shape)
            except ValueError as error:
                raise AdapterMismatch(
                    f"the adapter was made for another model or is damaged: {layer.name}: {error}"
                ) from None
            moved.setdefault(weight, []).append((change, strength))
            if bias is not None and shift is not None:
                moved.setdefault(bias, []).append((shift, strength))
        norms = []
        for parameter, moves in moved.items():
            base, size = self._kept(parameter)
            self._changed.add(parameter)
            moved_by = _put(parameter, base, moves)
            norms.append(torch.stack([moved_by, size]))
        return set(moved), norms


def _put(parameter: Tensor, base: Tensor, moves: list[tuple[Tensor, float]]) -> Tensor:
    """Sets the parameter to base + the sum of strength · change, as `add` computes it, and returns
    the norm of that sum. A single change of an fp32 weight is added into the parameter's own
    storage: each pass over a network's weights costs as much as reading a file of them."""
    if len(moves) == 1:
        change, strength = moves[0]
        if parameter.dtype == torch.float32 and strength:
            torch.add(base, change, alpha=strength, out=parameter)
        else:
            parameter.copy_(add(base, (change, strength)))
        return abs(strength) * _norm(change)
    parameter.copy_(add(base, *moves))
    return _norm(torch.stack([strength * change for change, strength in moves]).sum(0))


def _norm(values: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(values, dtype=torch.float32)
    return length


def _relative(block: str, norms: list[Tensor], files: Sequence[File]) -> float:
    """|ΔW| / |W| of a block, from the (|ΔW|, |W|) of each of its tensors."""
    change, base = torch.linalg.vector_norm(torch.stack(norms), dim=0).tolist()
    if not math.isfinite(change):
        raise AdapterMismatch(
            f"the adapter is damaged: its change of {block} is not finite{_culprit(files)}"
        )
    return change / base if base else float("inf" if change else 0)


def _culprit(files: Sequence[File]) -> str:
    """The end of a message: the first tensor that holds NaN or an infinity. Alphas come last, since
    a file may hold an infinite alpha that is not used."""
    bad = [
        f"{layer}.{name}"
        for file, _ in files
        for layer, tensors in file.items()
        for name, value in tensors.items()
        if not bool(torch.isfinite(value.float()).all())
    ]
    bad.sort(key=lambda name: name.endswith(".alpha"))
    return f": '{bad[0]}' holds NaN or an infinity" if bad else ""
