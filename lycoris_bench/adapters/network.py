"""The trainable adapters on a model's layers: trained, saved, and taken off again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.formats.adapter_file import to_bytes
from lycoris_bench.adapters.layer_forward import forward
from lycoris_bench.adapters.presets.layers import Target, weight_and_bias
from lycoris_bench.files import disk
from lycoris_bench.messages.arguments import FINITE, PATH


@dataclass(frozen=True)
class Constrained:
    """The effect of `max_norm` in a step: layers shrunk, and norms of all ΔW afterwards."""

    scaled: int
    mean: float
    largest: float


@dataclass(frozen=True)
class Bounds:
    """The norms of all bounded ΔW before `constrain`, on their device, and their limits."""

    norms: Tensor
    limits: tuple[float, ...]

    def read(self) -> Constrained:
        """The effect in numbers, for which a device must be waited for."""
        pairs = list(zip(self.norms.tolist(), self.limits, strict=True))
        after = [min(norm, limit) for norm, limit in pairs]
        shrunk = sum(norm > limit for norm, limit in pairs)
        return Constrained(shrunk, sum(after) / len(after), max(after))


class AdapterNetwork(nn.Module):
    """The adapters of one model. Its parameters are those of the adapters, never the base model's;
    `state_dict` holds them in fp32, so that training continues exactly.

    While attached, a layer's `forward` computes with the adapted weight; the layer's own
    parameters are never written, so that `detach` restores the original model bit by bit."""

    def __init__(
        self,
        targets: Sequence[Target],
        adapters: Sequence[Adapter],
        base: Sequence[nn.Module],
        about: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.about = dict(about)  # the metadata of its files
        pairs = zip(targets, adapters, strict=True)
        self.adapters = nn.ModuleDict({target.name: adapter for target, adapter in pairs})
        self._kinds = adapters  # the same as a list that knows their type
        self._layers = [target.module for target in targets]
        self._trainable = [p for model in base for p in model.parameters() if p.requires_grad]
        for parameter in self._trainable:
            parameter.requires_grad_(False)
        for layer, adapter in zip(self._layers, adapters, strict=True):
            layer.forward = partial(forward, layer, adapter)

    @property
    def modules_matched(self) -> int:
        """The number of layers that are trained."""
        return len(self.adapters)

    @property
    def parameter_count(self) -> int:
        """The number of trainable values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def tensors(self) -> dict[str, Tensor]:
        """Name in files -> fp32 tensor: a copy of the present values."""
        with torch.no_grad():
            return {
                f"{name}.{key}": value.detach().clone().contiguous()
                for name, adapter in zip(self.adapters, self._kinds, strict=True)
                for key, value in adapter.tensors().items()
            }

    def save(self, path: str | Path) -> Path:
        """Writes the present values to a safetensors file, in half precision.

        FileError: the path cannot be written; AdapterFileError: a number is too large."""
        PATH.check("path", path)
        return disk.write(Path(path), to_bytes(self.tensors(), self.about))

    def set_strength(self, strength: float) -> None:
        """Sets the multiplier of every ΔW: 0 gives the base model, 1 the trained one.

        BenchError: it is no finite number."""
        FINITE.check("strength", strength)
        for adapter in self._kinds:
            adapter.strength = float(strength)

    @torch.no_grad()
    def constrain(self) -> "Bounds | None":
        """Shrinks each ΔW whose norm is above its `max_norm`; None where no layer has one."""
        norms, limits = [], []
        for layer, adapter in zip(self._layers, self._kinds, strict=True):
            limit = adapter.limits.max_norm
            if limit is None:
                continue
            weight, _ = weight_and_bias(layer)
            norm = torch.linalg.vector_norm(adapter.delta(weight))
            adapter.shrink((limit / norm).clamp(max=1))
            norms.append(norm)
            limits.append(limit)
        return Bounds(torch.stack(norms), tuple(limits)) if norms else None

    def detach(self) -> None:
        """Restores the base model. A second call does nothing."""
        for layer in self._layers:
            del layer.forward
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        self._layers, self._trainable = [], []


def keeps_base(model: nn.Module) -> Adapter | None:
    """The first attached adapter that trains a weight of its own and keeps the base weight only as
    a reference, as `full` does: what is merged into that base weight has no effect. None where
    there is none."""
    for layer in model.modules():
        attached = vars(layer).get("forward")
        if isinstance(attached, partial) and attached.func is forward:
            adapter: Adapter = attached.args[1]
            storages = {parameter.data_ptr() for parameter in layer.parameters(recurse=False)}
            if any(buffer.data_ptr() in storages for buffer in adapter.buffers()):
                return adapter
    return None
