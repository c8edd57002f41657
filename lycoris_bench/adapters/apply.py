"""An adapter file in a pipeline or in any module, and out of it again."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn

from lycoris_bench.adapters.formats.adapter_file import by_layer, read
from lycoris_bench.adapters.formats.layer_names import DENOISERS, MODULE, TEXTS
from lycoris_bench.adapters.merge import Merger, MergeReport
from lycoris_bench.messages.errors import BenchError

HOLDER = "_lycoris_bench_applied"  # a module's attribute, so that they live as long as it does


def read_adapter(file: str | Path) -> dict[str, dict[str, Tensor]]:
    """Layer -> its tensors (`lora_up.weight`, `alpha`, ...), of a file or PEFT folder in any
    layout: what `merged_weight` takes. AdapterFileError: it is no adapter, or is damaged."""
    return by_layer(read(file)[0])


def apply_adapter(
    target: Any, file: str | Path | Mapping[str, Tensor], strength: float = 1.0
) -> "AppliedAdapter":
    """Changes the weights of a diffusers pipeline, or of any torch module, to W + strength · ΔW.

        with apply_adapter(pipeline, "some.safetensors", strength=0.8) as applied:
            print(applied.report)                 # layers matched, names that were left out
            image = pipeline("a prompt").images[0]

    Several adapters may be applied at once: their changes, each that of the base alone, are
    added, and they may be taken off in any order. `file` may be the tensors of one.

    AdapterFileError: no adapter, or a damaged one. AdapterMismatch: no layer matches, or shapes
    differ; the model is then as it was. A file that matches in part is a warning."""
    parts = _parts(target)
    tensors = file if isinstance(file, Mapping) else read(file)[0]
    return AppliedAdapter(_applied_to(parts), tensors, strength)


class AppliedAdapter:
    """An adapter that is in a model; as a context manager it is taken off at the end."""

    report: MergeReport  # what it changed, and what of the file was left out

    def __init__(self, others: "_Applied", tensors: Mapping[str, Tensor], strength: float) -> None:
        self.tensors, self.strength = tensors, strength
        self._others = others
        self.report = others.add(self)

    def remove(self) -> None:
        """Gives the weights back as they were without it, bit by bit; again, it does nothing."""
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
        """Merges it with the others; the report is of it alone."""
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
        """Merges the others without it."""
        if adapter in self.adapters:
            self.adapters.remove(adapter)
            self._merge()

    def _merge(self) -> None:
        if not self.adapters:  # from here on the base may be trained
            self.merger.restore()
            vars(self.holder).pop(HOLDER, None)
            return
        with warnings.catch_warnings(action="ignore"):  # each has been warned of
            self.merger.merge_all([(one.tensors, one.strength) for one in self.adapters])


def _applied_to(parts: dict[str, nn.Module]) -> _Applied:
    """Those that are in a model, or a beginning."""
    found: _Applied | None = vars(next(iter(parts.values()))).get(HOLDER)
    if found is None:
        return _Applied(parts)
    if {*map(id, found.parts.values())} != {*map(id, parts.values())}:
        raise BenchError(
            f"an adapter is applied to {' and '.join(found.parts)} of this model, and another is "
            f"for {' and '.join(parts)}: remove the first, or apply both to the same"
        )
    return found


def _parts(target: Any) -> dict[str, nn.Module]:
    """Model kind -> module, of a pipeline or of a module by itself."""
    if isinstance(target, nn.Module):
        parts = {MODULE: target}
    else:
        found = {kind: getattr(target, kind, None) for kind in (*DENOISERS, *TEXTS)}
        parts = {kind: part for kind, part in found.items() if isinstance(part, nn.Module)}
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
    return parts
