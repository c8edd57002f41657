"""The layers that a preset chooses, and their names in files."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from lycoris_bench.adapters.formats.layer_names import TEXTS, Directory, block_of
from lycoris_bench.adapters.presets.preset import Override, Preset
from lycoris_bench.adapters.presets.tables import PRESETS
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.models.families import known_classes

__all__ = [
    "PRESETS",
    "Models",
    "Preset",
    "Target",
    "TextEncoders",
    "directory",
    "layers",
    "models",
    "targets",
    "walk",
]
CONVOLUTION = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LINEAR = (nn.Linear, *CONVOLUTION)  # a 1x1 convolution counts as linear
NORM = (nn.LayerNorm, nn.GroupNorm)
TextEncoders = nn.Module | Sequence[nn.Module | None] | None
Models = nn.Module | Mapping[str, nn.Module]  # a denoiser, or all models by their kinds


@dataclass(frozen=True)
class Target:
    """One layer: its name in files, the block that reports count it in, the module, where it is,
    and what a preset's maps say of it."""

    name: str  # lora_unet_down_blocks_0_attentions_0_proj_in
    block: str  # unet.down_blocks.0
    module: nn.Module
    model: str = "unet"
    path: str = ""  # down_blocks.0.attentions.0.proj_in
    override: Override = field(default_factory=Override)

    @property
    def is_norm(self) -> bool:
        return isinstance(self.module, NORM)

    @property
    def inputs(self) -> int | None:
        """Inputs of a linear layer or convolution, which identify the model family."""
        weight = self.module.weight
        return weight.shape[1] if isinstance(weight, Tensor) and weight.dim() > 1 else None

    @property
    def weight(self) -> Tensor:
        """The module's weight."""
        return weight_and_bias(self.module)[0]

    @property
    def bias(self) -> Tensor | None:
        """The module's bias; None where it has none."""
        return weight_and_bias(self.module)[1]


def weight_and_bias(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """The parameters of a layer that an adapter can change."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    assert bias is None or isinstance(bias, Tensor)
    return weight, bias


def models(denoiser: Models, text_encoders: TextEncoders = None) -> dict[str, nn.Module]:
    """Model kind -> module: "unet" or "transformer", and "text_encoder", "text_encoder_2", ...;
    "module" is any other. A mapping of this form is taken as it is.

    A place in the sequence of text encoders may be None. BenchError: more than 3."""
    if isinstance(denoiser, Mapping):
        return dict(denoiser)
    given = [text_encoders] if isinstance(text_encoders, nn.Module) else list(text_encoders or ())
    if len(given) > len(TEXTS):
        raise BenchError(f"{len(given)} text encoders are given; at most {len(TEXTS)} are allowed")
    kind = "transformer" if "Transformer" in type(denoiser).__name__ else "unet"
    texts = zip(TEXTS, given, strict=False)
    return {kind: denoiser, **{name: model for name, model in texts if model is not None}}


def targets(
    unet: Models, text_encoders: TextEncoders = None, preset: str | Preset = "full"
) -> list[Target]:
    """The layers of a preset, each once, in the models' order; `KeyError` for an unknown one."""
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise BenchError(unknown("preset", preset, PRESETS))
        preset = PRESETS[preset]
    parts = models(unet, text_encoders)
    where = directory(parts)
    return [
        _target(where, kind, path, module, preset.override(path, inside))
        for kind, model in parts.items()
        for path, module, inside in walk(model)
        if preset.takes(path, kind in TEXTS, inside) and _is_of_kind(module, preset)
    ]


def layers(unet: Models, text_encoders: TextEncoders = None) -> list[Target]:
    """Every layer an adapter file could change."""
    parts = models(unet, text_encoders)
    where = directory(parts)
    return [
        _target(where, kind, path, module, Override())
        for kind, model in parts.items()
        for path, module in model.named_modules()
        if _is_layer(module)
    ]


def directory(parts: dict[str, nn.Module]) -> Directory:
    """The names that files may give the models' layers."""
    return Directory(
        {
            kind: [path for path, module in model.named_modules() if _is_layer(module)]
            for kind, model in parts.items()
        }
    )


def walk(model: nn.Module) -> Iterator[tuple[str, nn.Module, tuple[str, ...]]]:
    """(path, layer, classes of the modules it lies in and its own) of each layer."""
    inside: dict[str, tuple[str, ...]] = defaultdict(tuple)
    known_as = known_classes()
    for path, module in model.named_modules():
        parent = inside[path.rpartition(".")[0]] if path else ()
        name = type(module).__name__
        inside[path] = (*parent, name, known_as.get(name, name))
        if _is_layer(module):
            yield path, module, inside[path]


def _is_of_kind(module: nn.Module, preset: Preset) -> bool:
    if isinstance(module, CONVOLUTION):
        return preset.convolutions or set(module.kernel_size) == {1}
    return isinstance(module, nn.Linear) or preset.norms


def _is_layer(module: nn.Module) -> bool:
    """Whether an adapter can change it: of norms, those with a weight and a bias of their own."""
    if isinstance(module, NORM):
        return None not in (module.weight, module.bias)
    own = module._parameters  # where a parametrized layer, which computes its weight, has none
    return isinstance(module, LINEAR) and own.get("weight") is not None


def _target(
    where: Directory, model: str, path: str, module: nn.Module, override: Override
) -> Target:
    block = block_of(f"{model}.{path}")
    return Target(where.spell(model, path), block, module, model, path, override)
