"""Puts trainable adapters on layers of a model and freezes the model's own weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.norm import NormShift
from lycoris_bench.adapters.algorithms.options import LIMITS
from lycoris_bench.adapters.algorithms.regularization import Limits
from lycoris_bench.adapters.formats.adapter_file import metadata
from lycoris_bench.adapters.formats.families import family_of, version_of
from lycoris_bench.adapters.formats.layer_names import MODULE
from lycoris_bench.adapters.formats.ss_metadata import OF_FAMILY
from lycoris_bench.adapters.network import AdapterNetwork
from lycoris_bench.adapters.presets.layers import PRESETS, Target, TextEncoders, models, targets
from lycoris_bench.adapters.presets.named_layers import classes_of, named_layers
from lycoris_bench.adapters.presets.preset import Override, Preset
from lycoris_bench.messages.arguments import NAMES, SEED, TABLE, TEXT, Allowed
from lycoris_bench.messages.errors import BenchError, doing, explained
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.registry import titled

MODULE_GIVEN = Allowed("a torch module", lambda value: isinstance(value, nn.Module))
TEXTS_GIVEN = Allowed("a torch module, a list of them, or None", lambda value: (
    value is None or isinstance(value, nn.Module) or (isinstance(value, list | tuple)
    and all(one is None or isinstance(one, nn.Module) for one in value))
))  # fmt: skip
LAYERS_GIVEN = Allowed(
    'a list of class names and patterns, such as ["Attention", "*.mlp.*"], or a preset',
    lambda value: isinstance(value, str | Preset) or NAMES.holds(value),
)


def attach(
    model: nn.Module,
    text_encoders: TextEncoders = None,
    layers: str | Preset | Sequence[str] = "full",
    algorithm: str = "lora",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    exclude: Sequence[str] = (),
) -> AdapterNetwork:
    """Freezes a model and puts adapters on its layers, which its `forward` then goes through.

        network = attach(vit, layers=["Attention", "*.fc1"], algorithm="lora", options={"dim": 4})
        network = attach(unet, text_encoder, "attn-mlp", "lokr", {"factor": 8}, seed=23)

    `layers` is a list of class names ("Attention": the layers inside; "Linear": all of the class)
    and of patterns of dotted paths, for any module, less those of `exclude`; or the name of a
    preset or a `Preset`, for a denoiser and its text encoders (one, several in the pipeline's
    order, or None). The initial values depend on `seed`, on the layers and their order, and on
    nothing else.

    BenchError: an argument of another type, an unknown algorithm, preset, class or option, options
    out of range, no layer that matches, or a model that has adapters already."""
    MODULE_GIVEN.check("model", model)
    TEXTS_GIVEN.check("text_encoders", text_encoders)
    LAYERS_GIVEN.check("layers", layers)
    TEXT.check("algorithm", algorithm)
    TABLE.or_none().check("options", options)
    SEED.check("seed", seed)
    options = options or {}
    ALGORITHMS.get(algorithm).check(**options)
    matched = _targets(model, text_encoders, layers, algorithm, exclude)
    chosen = [(target, *_choice(target, algorithm, options)) for target in matched]
    chosen = [(target, kind, given) for target, kind, given in chosen
              if target.is_norm or kind.covers(target.weight, given)]  # fmt: skip
    base = list(models(model, text_encoders).values())
    if not chosen:
        names = " and ".join(type(part).__name__ for part in base)
        raise BenchError(f"{algorithm} with {_called(layers)} matches no layer of {names}"
                         f"{_instead(layers, base)}")  # fmt: skip
    if any("forward" in vars(target.module) for target, _, _ in chosen):
        raise BenchError("the model already carries adapters: detach them first")
    generator = torch.Generator().manual_seed(int(seed))
    adapters = [_adapter(target, kind, generator, given) for target, kind, given in chosen]
    about = _about([target for target, _, _ in chosen], layers, algorithm, options)
    return AdapterNetwork([target for target, _, _ in chosen], adapters, base, about)


def _targets(
    model: nn.Module,
    text_encoders: TextEncoders,
    layers: str | Preset | Sequence[str],
    algorithm: str,
    exclude: Sequence[str],
) -> list[Target]:
    """The layers that get an adapter, from a list of names or a preset."""
    if not isinstance(layers, str | Preset):
        if text_encoders is not None:
            raise BenchError("class names and patterns choose layers of one module; with text "
                             "encoders give a preset")  # fmt: skip
        return named_layers(model, layers, exclude)
    if exclude:
        raise BenchError("exclude goes with a list of class names and patterns; a preset has its "
                         "own exclude_name")  # fmt: skip
    if isinstance(layers, str) and layers not in PRESETS:
        raise BenchError(f"{unknown('preset', layers, PRESETS)}; a class name or a pattern stands "
                         f"in a list: layers=['{layers}']")  # fmt: skip
    chosen = targets(model, text_encoders, layers)
    only = (PRESETS[layers] if isinstance(layers, str) else layers).only
    if only not in ("", algorithm):
        raise BenchError(f"{_called(layers)} is for {only} alone, not for {algorithm}")
    return chosen


def _instead(layers: str | Preset | Sequence[str], base: Sequence[nn.Module]) -> str:
    """The advice after "matches no layer": the classes of layers that the model has."""
    if classes := list(dict.fromkeys(name for model in base for name in classes_of(model))):
        why = "presets are for diffusion models; " if isinstance(layers, str | Preset) else ""
        return f": {why}name classes of its layers, layers={classes}, or patterns of their paths"
    return ", which has none that an adapter can change"


def _called(layers: str | Preset | Sequence[str]) -> str:
    """The choice of layers as a message calls it."""
    if isinstance(layers, Preset):
        return "a preset of one's own"
    return f"preset '{layers}'" if isinstance(layers, str) else f"layers={list(layers)}"


def _about(
    chosen: Sequence[Target],
    layers: str | Preset | Sequence[str],
    algorithm: str,
    options: Mapping[str, Any],
) -> dict[str, str]:
    """The metadata of the adapter's file; the model family is left out for other modules."""
    preset = layers if isinstance(layers, str) else "custom"
    about = metadata(
        algorithm=algorithm, preset=preset, options=options,
        base_model_version=version_of(family_of({t.name: t.inputs for t in chosen})),
    )  # fmt: skip
    of_family = OF_FAMILY if any(target.model == MODULE for target in chosen) else ()
    return {key: text for key, text in about.items() if key not in of_family}


def _choice(
    target: Target, algorithm: str, options: Mapping[str, Any]
) -> tuple[type[Adapter], dict[str, Any]]:
    """The algorithm of one layer and its options: the configuration's, or a preset map's."""
    name, chosen = target.override.applied(algorithm, options)
    kind: type[Adapter] = ALGORITHMS.get(name)
    if target.override != Override():
        try:
            kind.check(**chosen)
        except ValueError as error:
            raise BenchError(f"the preset's map for {target.path}: {error}") from None
    return kind, chosen


def _adapter(
    target: Target, kind: type[Adapter], generator: torch.Generator, options: Mapping[str, Any]
) -> Adapter:
    """The adapter of one layer. BenchError: names the layer that the options do not suit."""
    limits = {key: value for key, value in options.items() if key in LIMITS}
    others = {key: value for key, value in options.items() if key not in LIMITS}
    try:
        with doing(f"building {titled('adapter', kind.__name__, kind)}"):
            adapter: Adapter = (
                NormShift(target.weight, target.bias, generator)
                if target.is_norm
                else kind(target.weight, target.bias, generator, **others)
            )
    except ValueError as error:
        raise BenchError(f"{target.name}: {explained(error)}") from None
    adapter.limits = Limits(**limits)
    return adapter
