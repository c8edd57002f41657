"""Applies an adapter file to a diffusers pipeline or any torch module, and takes it off again."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn

from lycoris_bench.adapters.delta import LAYER
from lycoris_bench.adapters.formats.adapter_file import by_layer, read
from lycoris_bench.adapters.formats.layer_names import DENOISERS, MODULE, TEXTS
from lycoris_bench.adapters.merge import Merger, MergeReport
from lycoris_bench.adapters.network import keeps_base
from lycoris_bench.messages.arguments import FINITE, PATH, Allowed
from lycoris_bench.messages.errors import BenchError

FILE = Allowed(
    "a path, or a mapping of an adapter's tensors by name,",
    lambda value: PATH.holds(value) or LAYER.holds(value),
)
HOLDER = "_lycoris_bench_applied"  # a module's attribute, which lives as long as the module


def read_adapter(file: str | Path) -> dict[str, dict[str, Tensor]]:
    """Layer -> its tensors (`lora_up.weight`, `alpha`, ...), from a file or PEFT folder in any
    layout, as `merged_weight` takes them. AdapterFileError: it is no adapter, or is damaged."""
    PATH.check("file", file)
    return by_layer(read(file)[0])


def apply_adapter(
    target: Any, file: str | Path | Mapping[str, Tensor], strength: float = 1.0
) -> "AppliedAdapter":
    """Changes the weights of a diffusers pipeline, or of any torch module, to W + strength · ΔW.

        with apply_adapter(pipeline, "some.safetensors", strength=0.8) as applied:
            print(applied.report)                 # layers matched, names that were left out
            image = pipeline("a prompt").images[0]

    Several adapters may be applied at once: their changes of the base weights are added, and they
    may be taken off in any order. In place of a file, `file` may be the tensors of one by their
    names, as `AdapterNetwork.tensors()` gives them.

    AdapterFileError: the file is no adapter, or is damaged. AdapterMismatch: no layer matches, or
    shapes differ; the model is then unchanged. BenchError: another mistake in an argument, or the
    model is being trained with `full`. Warns where only a part of the file matches."""
    parts = _parts(target)
    FINITE.check("strength", strength)
    FILE.check("file", file)
    tensors = file if isinstance(file, Mapping) else read(file)[0]
    return AppliedAdapter(_applied_to(parts), tensors, float(strength))


class AppliedAdapter:
    """An adapter in a model; as a context manager it is taken off at the end.

    `report`: the layers it changed, and the names that were left out (`MergeReport`); `tensors`
    and `strength`: what was applied."""

    report: MergeReport

    def __init__(self, others: "_Applied", tensors: Mapping[str, Tensor], strength: float) -> None:
        self.tensors, self.strength = tensors, strength
        self._others = others
        self.report = others.add(self)

    def remove(self) -> None:
        """Restores the weights without this adapter, bit by bit. A second call does nothing."""
        self._others.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class _Applied:
    """The adapters in one model, always merged together from its base."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        self.parts, self.merger = parts, Merger(parts)
        self.holder = next(iter(parts.values()))
        self.adapters: list[AppliedAdapter] = []

    def add(self, adapter: AppliedAdapter) -> MergeReport:
        """Merges an adapter with the others; the report covers this adapter alone."""
        try:
            report = self.merger.merge(adapter.tensors, adapter.strength)
        except Exception:
            self._merge()
            raise
        self.adapters.append(adapter)
        vars(self.holder)[HOLDER] = self
        if len(self.adapters) > 1:
            self._merge()
        return report

    def remove(self, adapter: AppliedAdapter) -> None:
        """Takes an adapter off and merges the others."""
        if adapter in self.adapters:
            self.adapters.remove(adapter)
            self._merge()

    def _merge(self) -> None:
        if not self.adapters:  # the base model may be trained afterwards
            self.merger.restore()
            vars(self.holder).pop(HOLDER, None)
            return
        with warnings.catch_warnings(action="ignore"):  # `add` has warned of each
            self.merger.merge_all([(each.tensors, each.strength) for each in self.adapters])


def _applied_to(parts: dict[str, nn.Module]) -> _Applied:
    """The adapters that are applied to a model; empty where there are none yet."""
    applied: _Applied | None = vars(next(iter(parts.values()))).get(HOLDER)
    if applied is None:
        return _Applied(parts)
    if {*map(id, applied.parts.values())} != {*map(id, parts.values())}:
        raise BenchError(
            f"an adapter is applied to {' and '.join(applied.parts)} of this model, and another is "
            f"for {' and '.join(parts)}: remove the first, or apply both to the same"
        )
    return applied


def _parts(target: Any) -> dict[str, nn.Module]:
    """Model kind -> module, of a pipeline or of a module by itself."""
    if isinstance(target, nn.Module):
        parts = {MODULE: target}
    else:
        members = {kind: getattr(target, kind, None) for kind in (*DENOISERS, *TEXTS)}
        parts = {kind: part for kind, part in members.items() if isinstance(part, nn.Module)}
    if not parts.keys() & {*DENOISERS, MODULE}:
        raise BenchError(
            f"a {type(target).__name__} takes no adapter; give a diffusers pipeline with a "
            f"{' or a '.join(DENOISERS)}, or a torch module"
        )
    for kind, part in parts.items():
        if any(parameter.is_meta for parameter in part.parameters()):
            raise BenchError(
                f"the weights of the {kind} are not in memory (their device is 'meta', as "
                "offloading leaves them); load the model without offloading"
            )
        if (adapter := keeps_base(part)) is not None:
            raise BenchError(
                f"the {kind} is being trained with {type(adapter).__name__.lower()}, whose weights "
                "stand in place of the model's, so that a change of those is without effect; "
                "detach the network, then apply its tensors() and this adapter"
            )
    return parts
