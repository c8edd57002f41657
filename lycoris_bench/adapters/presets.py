"""Which layers are trained: presets as a table, and the names files give the layers."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from lycoris_bench.registry import unknown

CONVOLUTION = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LINEAR = (nn.Linear, *CONVOLUTION)  # a 1x1 convolution counts as linear
NORM = (nn.LayerNorm, nn.GroupNorm)
UNET, TEXT = "lora_unet_", "lora_te_"


@dataclass(frozen=True)
class Preset:
    """Classes whose layers are trained, layers of the U-Net named one by one, and whether
    convolutions larger than 1x1 and norms are among them."""

    unet: tuple[str, ...]
    text_encoder: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    convolutions: bool = False
    norms: bool = False


@dataclass(frozen=True)
class Target:
    """One layer: its name in files, the block that reports count it in, and the module."""

    name: str  # lora_unet_down_blocks_0_attentions_0_proj_in
    block: str  # unet.down_blocks.0
    module: nn.Module

    @property
    def is_norm(self) -> bool:
        return isinstance(self.module, NORM)


ATTENTION = ("Attention", "CrossAttention", "SelfAttention")
TRANSFORMER = ("Transformer2DModel",)
RESNET = ("ResnetBlock2D",)
RESAMPLE = ("Downsample2D", "Upsample2D")
CLIP_ATTENTION = ("CLIPAttention", "CLIPSdpaAttention")
CLIP = (*CLIP_ATTENTION, "CLIPMLP")
TIME = ("time_embedding.linear_1", "time_embedding.linear_2")
ENDS = ("conv_in", "conv_out")
WHOLE_UNET = TRANSFORMER + RESNET + RESAMPLE

PRESETS = {
    "attn-only": Preset(ATTENTION, CLIP_ATTENTION),
    "attn-mlp": Preset(TRANSFORMER, CLIP),
    "full-lin": Preset(TRANSFORMER + RESNET, CLIP, TIME),
    "full": Preset(WHOLE_UNET, CLIP, TIME + ENDS, convolutions=True, norms=True),
    "unet-only": Preset(WHOLE_UNET, (), TIME + ENDS, convolutions=True),
    "unet-transformer-only": Preset(TRANSFORMER),
    "unet-convblock-only": Preset(RESNET + RESAMPLE, (), ENDS, convolutions=True),
}


def targets(unet: nn.Module, text_encoder: nn.Module | None, preset: str) -> list[Target]:
    """The layers of a preset, each once, in the models' order; `KeyError` for an unknown one."""
    if preset not in PRESETS:
        raise KeyError(unknown("preset", preset, PRESETS))
    chosen = PRESETS[preset]
    found = _selected(unet, UNET, chosen.unet, chosen.names, chosen)
    if text_encoder is not None:
        found += _selected(text_encoder, TEXT, chosen.text_encoder, (), chosen)
    return found


def layers(unet: nn.Module, text_encoder: nn.Module | None) -> list[Target]:
    """Every layer an adapter file could change."""
    models = [(unet, UNET)] + ([] if text_encoder is None else [(text_encoder, TEXT)])
    return [
        _target(prefix, path, module)
        for model, prefix in models
        for path, module in model.named_modules()
        if isinstance(module, LINEAR) or _is_norm(module)
    ]


def aliases(target: Target) -> Iterator[str]:
    """Names other tools give the layer: without the `text_model` level that newer transformers
    dropped, and `lycoris_` from the library's wrapper that knows no model kinds."""
    path = target.name.removeprefix(UNET).removeprefix(TEXT)
    paths = dict.fromkeys((path, path.removeprefix("text_model_")))
    model = UNET if target.name.startswith(UNET) else TEXT
    for spelling in paths:
        yield from (f"{model}{spelling}", f"lycoris_{spelling}")
        yield model.replace("lora_", "lycoris_") + spelling


def _selected(
    model: nn.Module, prefix: str, classes: tuple[str, ...], names: tuple[str, ...], preset: Preset
) -> list[Target]:
    """Layers inside modules of these classes, and those of these names, in the model's order."""
    parts = list(model.named_modules())
    blocks = tuple(f"{path}." for path, part in parts if type(part).__name__ in classes)
    return [
        _target(prefix, path, module)
        for path, module in parts
        if (path in names or path.startswith(blocks)) and _wanted(module, preset)
    ]


def _wanted(module: nn.Module, preset: Preset) -> bool:
    if isinstance(module, CONVOLUTION):
        return preset.convolutions or set(module.kernel_size) == {1}
    return isinstance(module, nn.Linear) or (preset.norms and _is_norm(module))


def _is_norm(module: nn.Module) -> bool:
    """Whether it is a norm with a weight and a bias of its own."""
    return isinstance(module, NORM) and None not in (module.weight, module.bias)


def _target(prefix: str, path: str, module: nn.Module) -> Target:
    """The name has the `text_model` level that loaders know, whether or not the model has it."""
    if prefix == TEXT:
        path = f"text_model.{path.removeprefix('text_model.')}"
    parts = [part for part in path.split(".") if part not in ("text_model", "encoder")]
    numbered = len(parts) > 1 and parts[1].isdigit()
    model = "unet" if prefix == UNET else "text_encoder"
    block = ".".join([model, *parts[: 2 if numbered else 1]])
    return Target(prefix + path.replace(".", "_"), block, module)
