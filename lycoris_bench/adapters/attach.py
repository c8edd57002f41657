"""Training: adapters on the layers of a preset, over a frozen base model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.norm import NormShift
from lycoris_bench.adapters.algorithms.options import LIMITS
from lycoris_bench.adapters.algorithms.regularization import Limits
from lycoris_bench.adapters.presets.layers import PRESETS, Target, TextEncoders, models, targets
from lycoris_bench.adapters.presets.preset import Override, Preset
from lycoris_bench.messages.errors import BenchError


@dataclass(frozen=True)
class Constrained:
    """What `max_norm` did in a step: layers shrunk, and the norms of all ΔW afterwards."""

    scaled: int
    mean: float
    largest: float


class AdapterNetwork(nn.Module):
    """The adapters of one model. Its parameters are theirs alone, never the base model's;
    `state_dict` holds them in fp32, so that training continues exactly.

    While attached, a layer's `forward` computes with the adapted weight; the layer's own
    parameters are never written, so `detach` gives the original model back bit by bit."""

    def __init__(self, found: list[Target], adapters: list[Adapter], base: list[nn.Module]) -> None:
        super().__init__()
        pairs = zip(found, adapters, strict=True)
        self.adapters = nn.ModuleDict({target.name: adapter for target, adapter in pairs})
        self._kinds = adapters  # the same as a list that knows their type
        self._layers = [target.module for target in found]
        self._trainable = [p for model in base for p in model.parameters() if p.requires_grad]
        for parameter in self._trainable:
            parameter.requires_grad_(False)
        for layer, adapter in zip(self._layers, adapters, strict=True):
            layer.forward = partial(_forward, layer, adapter)

    @property
    def modules_matched(self) -> int:
        """Layers that are trained."""
        return len(self.adapters)

    @property
    def parameter_count(self) -> int:
        """Trainable numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    def tensors(self) -> dict[str, Tensor]:
        """Name in files -> fp32 tensor, as they are now."""
        with torch.no_grad():
            return {
                f"{name}.{key}": value.detach().clone().contiguous()
                for name, adapter in self.adapters.items()
                for key, value in adapter.tensors().items()  # type: ignore[operator]
            }

    def set_strength(self, strength: float) -> None:
        """How much of the change applies: 0 is the base model, 1 the trained one."""
        for adapter in self._kinds:
            adapter.strength = strength

    @torch.no_grad()
    def constrain(self) -> Constrained | None:
        """Shrinks each ΔW that is longer than its `max_norm`; None where no layer has one."""
        norms, scaled = [], 0
        for layer, adapter in zip(self._layers, self._kinds, strict=True):
            limit = adapter.limits.max_norm
            if limit is None:
                continue
            norm = float(torch.linalg.vector_norm(adapter.delta(layer.weight)))  # type: ignore[arg-type]
            if norm > limit:
                adapter.shrink(limit / norm)
                scaled += 1
            norms.append(min(norm, limit))
        return Constrained(scaled, sum(norms) / len(norms), max(norms)) if norms else None

    def detach(self) -> None:
        """Gives the base model back as it was. A second call does nothing."""
        for layer in self._layers:
            del layer.forward
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        self._layers, self._trainable = [], []


def attach(
    unet: nn.Module,
    text_encoders: TextEncoders,
    preset: str | Preset,
    algorithm: str,
    options: Mapping[str, Any],
    seed: int,
) -> AdapterNetwork:
    """Freezes the models and puts adapters on the layers of the preset.

    `text_encoders` is one, several in the pipeline's order, or None. The initial values depend
    on `seed`, on the layers and their order, and on nothing else. Raises `KeyError` for an
    unknown algorithm or preset, `ValueError` for options out of range or if no layer matches,
    `RuntimeError` if another network is attached."""
    ALGORITHMS.get(algorithm).check(**options)
    found = targets(unet, text_encoders, preset)
    called = f"preset '{preset}'" if isinstance(preset, str) else "a preset of one's own"
    only = (PRESETS[preset] if isinstance(preset, str) else preset).only
    if only not in ("", algorithm):
        raise BenchError(f"{called} is for {only} alone, not for {algorithm}")
    chosen = [(target, *_choice(target, algorithm, options)) for target in found]
    chosen = [(target, kind, own) for target, kind, own in chosen
              if target.is_norm or kind.covers(_weight(target), own)]  # fmt: skip
    base = list(models(unet, text_encoders).values())
    if not chosen:
        names = " and ".join(type(model).__name__ for model in base)
        raise BenchError(f"{algorithm} with {called} matches no layer of {names}")
    if any("forward" in vars(target.module) for target, _, _ in chosen):
        raise BenchError("the model already carries adapters: detach them first")
    generator = torch.Generator().manual_seed(seed)
    adapters = [_adapter(target, kind, generator, own) for target, kind, own in chosen]
    return AdapterNetwork([target for target, _, _ in chosen], adapters, base)


def _choice(
    target: Target, algorithm: str, options: Mapping[str, Any]
) -> tuple[type[Adapter], dict[str, Any]]:
    """The algorithm of one layer and its options: the configuration's, or those of a map."""
    name, own = target.override.applied(algorithm, options)
    kind: type[Adapter] = ALGORITHMS.get(name)
    if target.override != Override():
        try:
            kind.check(**own)
        except ValueError as error:
            raise BenchError(f"the preset's map for {target.path}: {error}") from None
    return kind, own


def _adapter(
    target: Target, kind: type[Adapter], generator: torch.Generator, options: Mapping[str, Any]
) -> Adapter:
    """One layer's adapter; `ValueError` names the layer that the options do not suit."""
    held = {key: value for key, value in options.items() if key in LIMITS}
    own = {key: value for key, value in options.items() if key not in LIMITS}
    try:
        made: Adapter = (
            NormShift(_weight(target), target.module.bias, generator)  # type: ignore[arg-type]
            if target.is_norm
            else kind(_weight(target), target.module.bias, generator, **own)  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise BenchError(f"{target.name}: {error}") from None
    made.limits = Limits(**held)
    return made


def _weight(target: Target) -> Tensor:
    return target.module.weight  # type: ignore[return-value]


def _forward(layer: nn.Module, adapter: Adapter, x: Tensor) -> Tensor:
    """One operation, with the adapted weight and bias in place of the layer's own; with dropout
    of the adapter's output two, as the base's is left alone."""
    weight, bias = adapter(layer.weight, layer.bias)
    if not (adapter.training and adapter.limits.dropout) or weight is layer.weight:
        return _operate(layer, x, weight, bias)
    base = _operate(layer, x, layer.weight, layer.bias)  # type: ignore[arg-type]
    return base + F.dropout(_operate(layer, x, weight, bias) - base, adapter.limits.dropout)


def _operate(layer: nn.Module, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    match layer:
        case nn.Linear():
            return F.linear(x, weight, bias)
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            return layer._conv_forward(x, weight, bias)
        case nn.LayerNorm():
            return F.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)
        case nn.GroupNorm():
            return F.group_norm(x, layer.num_groups, weight, bias, layer.eps)
    raise BenchError(f"a {type(layer).__name__} takes no adapter")
