"""Merges adapter files into a model's weights, in place and always from the base weights."""

import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lycoris_bench.adapters.adding import Sum, Sums, term_of
from lycoris_bench.adapters.algorithms.base import add
from lycoris_bench.adapters.algorithms.terms import Term
from lycoris_bench.adapters.delta import changes, check_bias
from lycoris_bench.adapters.formats.families import family_of
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.known_files import KnownFiles
from lycoris_bench.adapters.matching import AdapterMismatch, Match, Matched, matched
from lycoris_bench.adapters.presets.layers import (
    Models,
    Target,
    TextEncoders,
    directory,
    layers,
    models,
)

File = Mapping[str, dict[str, Tensor]]  # an adapter by layer
Part = tuple[Matched, float]  # a layer in a file, strength
Lengths = dict[Tensor, Tensor]  # parameter -> |sum of strength · change|


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
        self._files = KnownFiles()
        self._base: dict[Tensor, Tensor] = {}  # parameter -> copy
        self._size: dict[Tensor, float] = {}  # parameter -> |base|
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
            return self._merge(adapters)
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

    def _merge(self, adapters: Sequence[tuple[Mapping[str, Tensor], float]]) -> MergeReport:
        files, matches = [], []
        work: dict[tuple[str, str], list[Part]] = defaultdict(list)
        for tensors, strength in adapters:
            file, match = self._files.read(tensors, self._match)
            files.append(file)
            matches.append(match)
            for place, layer in match.layers.items():
                work[place].append((layer, strength))
        stale = set(self._changed)
        lengths: Lengths = {}
        blocks: dict[str, list[Tensor]] = defaultdict(list)
        sums = Sums()
        for place, parts in work.items():
            target = self._layers[place]
            weight = target.weight
            if (term := _term(parts, weight)) is None:
                lengths |= (own := self._write(target, parts))
                blocks[target.block] += own
            else:
                self._changed.add(weight)
                blocks[target.block].append(weight)
                sums.put(Sum(weight, self._kept(weight), term, parts[0][1]))
        lengths.update(sums.write())
        self._put_back(stale - lengths.keys())
        self._changed = set(lengths)
        left_out = [name for match in matches for name in (*match.missing, *match.unknown)]
        return MergeReport(
            matched=len(work),
            unmatched=tuple(dict.fromkeys(left_out)),
            algorithms=tuple(
                sorted({layer.algorithm for parts in work.values() for layer, _ in parts})
            ),
            change=self._relative(blocks, lengths, files),
        )

    @torch.no_grad()
    def _put_back(self, parameters: set[Tensor]) -> None:
        for parameter in parameters:
            parameter.copy_(self._base[parameter])

    def _match(self, file: File) -> Match:
        match = matched(file, self._directory, self._family, "the adapter", "the model")
        if not match.complete:
            warnings.warn(
                f"the adapter is applied in part: {len(file) - len(match.layers)} of its "
                f"{len(file)} layers are left out: {match.sentence()}",
                stacklevel=5,
            )
        return match

    def _kept(self, parameter: Tensor) -> Tensor:
        """The parameter's base value, copied before its first change."""
        if parameter not in self._base:
            self._base[parameter] = parameter.detach().clone()
        return self._base[parameter]

    def _relative(
        self, blocks: Mapping[str, list[Tensor]], lengths: Lengths, files: Sequence[File]
    ) -> dict[str, float]:
        """Block -> |ΔW| / |W| over the changed tensors in it."""
        self._size |= _numbers({p: _norm(self._base[p]) for p in lengths if p not in self._size})
        moved = _numbers(lengths)
        relative = {}
        for block, parameters in blocks.items():
            change, base = (math.hypot(*(of[p] for p in parameters)) for of in (moved, self._size))
            if not math.isfinite(change):
                raise AdapterMismatch(
                    f"the adapter is damaged: its change of {block} is not finite{_culprit(files)}"
                )
            relative[block] = change / base if base else float("inf" if change else 0)
        return relative

    @torch.no_grad()
    def _write(self, target: Target, parts: list[Part]) -> Lengths:
        """Merges one layer, with each ΔW computed by itself."""
        weight, bias = target.weight, target.bias
        moved: dict[Tensor, list[tuple[Tensor, float]]] = {}
        for layer, strength in parts:
            try:
                change, shift = changes(layer.tensors, self._kept(weight))
                if shift is not None:
                    check_bias(shift.shape, None if bias is None else bias.shape)
            except ValueError as error:
                raise AdapterMismatch(
                    f"the adapter was made for another model or is damaged: {layer.name}: {error}"
                ) from None
            moved.setdefault(weight, []).append((change, strength))
            if bias is not None and shift is not None:
                moved.setdefault(bias, []).append((shift, strength))
        self._changed |= moved.keys()
        return {p: _put(p, self._kept(p), moves) for p, moves in moved.items()}


def _term(parts: list[Part], weight: Tensor) -> Term | None:
    """A layer's only change by factors; None where it has several, or none that is a term."""
    (layer, strength), *others = parts
    if others or not strength or layer.kind.bias_from(layer.tensors) is not None:
        return None
    return term_of(layer.kind, layer.tensors, weight)


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


def _numbers(lengths: Lengths) -> dict[Tensor, float]:
    """The values of tensors of one number, for which each device is waited for once."""
    numbers: dict[Tensor, float] = {}
    for device in {length.device for length in lengths.values()}:
        here = {p: length for p, length in lengths.items() if length.device == device}
        numbers |= zip(here, torch.stack(list(here.values())).tolist(), strict=True)
    return numbers


def _culprit(files: Sequence[File]) -> str:
    """The end of a message: the first tensor that holds NaN or an infinity. Alphas come last, since
    a file may hold an infinite alpha that is not used."""
    bad = [
        f"{layer}.{name}"
        for file in files
        for layer, tensors in file.items()
        for name, value in tensors.items()
        if not bool(torch.isfinite(value.float()).all())
    ]
    bad.sort(key=lambda name: name.endswith(".alpha"))
    return f": '{bad[0]}' holds NaN or an infinity" if bad else ""
