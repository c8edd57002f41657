"""Single-file checkpoints: maps CompVis keys to layers of diffusers' models.

The structure is read off the keys themselves: a block ends where a `.op` (down) or a lone `.conv`
(up) stands, so that U-Nets of any depth are understood."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lycoris_bench.models import compvis_layers
from lycoris_bench.models.families import families

UNET = "model.diffusion_model."
ENDS = {theirs: ours for ours, theirs in compvis_layers.ENDS.items()}
RESNET = {theirs: ours for ours, theirs in compvis_layers.RESNET.items()}
FUSED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")  # thirds of OpenCLIP's in_proj


class Spot(NamedTuple):
    """A layer's weight or bias: all of a tensor, or one third of its rows."""

    model: str
    path: str
    kind: str  # "weight" or "bias"
    third: int | None = None


def is_checkpoint(keys: Iterable[str]) -> bool:
    """Whether these are the keys of a CompVis checkpoint."""
    return any(key.startswith(UNET) for key in keys)


def spots(keys: Iterable[str]) -> dict[str, list[Spot]]:
    """Key -> the layers it holds, for every key of the U-Net and the text encoders."""
    keys = list(keys)
    texts = [t for f in families() for t in (*f.texts_in_file, *f.unread_in_file)]
    unet = _unet(key.removeprefix(UNET) for key in keys if key.startswith(UNET))
    held: dict[str, list[Spot]] = {}
    for key in keys:
        layer, _, kind = key.rpartition(".")
        if key.startswith(UNET) and layer.removeprefix(UNET) in unet:
            held[key] = [Spot("unet", unet[layer.removeprefix(UNET)], kind)]
            continue
        for text in texts:
            if key.startswith(text.prefix) and text.open_clip:
                rest = key.removeprefix(text.prefix)
                held[key] = [Spot(text.part, *inner) for inner in _open_clip(rest)]
            elif key.startswith(text.prefix):
                held[key] = [Spot(text.part, layer.removeprefix(text.prefix), kind)]
    return {key: at for key, at in held.items() if at and at[0].kind in ("weight", "bias")}


def _open_clip(key: str) -> Iterator[tuple[str, str, int | None]]:
    layer, _, kind = key.rpartition(".")
    if layer == "ln_final":
        yield "text_model.final_layer_norm", kind, None
    if not (inner := re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)", key)):
        return
    block, name = f"text_model.encoder.layers.{inner[1]}.", inner[2]
    if fused := re.fullmatch(r"attn\.in_proj_(weight|bias)", name):
        yield from ((block + part, fused[1], third) for third, part in enumerate(FUSED))
    elif (part := compvis_layers.RESBLOCK.get(name.rpartition(".")[0])) is not None:
        yield block + part, kind, None


def _unet(keys: Iterable[str]) -> dict[str, str]:
    """CompVis layer -> diffusers path."""
    layers = sorted({key.rpartition(".")[0] for key in keys})
    paths = {layer: ENDS[layer] for layer in layers if layer in ENDS}
    paths |= _part(layers, "middle_block", "mid_block", {0: 0, 1: 0, 2: 1})
    for side, blocks, last in (("input_blocks", "down_blocks", "op"),
                               ("output_blocks", "up_blocks", "conv")):  # fmt: skip
        block = place = 0
        for n in _numbers(layers, side):
            if (side, n) == ("input_blocks", 0):
                continue
            prefix = f"{side}.{n}."
            inside = [layer for layer in layers if layer.startswith(prefix)]
            target = f"{blocks}.{block}"
            paths |= _part(inside, f"{side}.{n}", target, {0: place, 1: place})
            resample = [x for x in inside if re.fullmatch(rf"{re.escape(prefix)}\d\.{last}", x)]
            for layer in resample:
                paths[layer] = f"{target}.{blocks.split('_')[0]}samplers.0.conv"
            place += 1
            if resample:
                block, place = block + 1, 0
    return paths


def _part(
    layers: Iterable[str], source: str, target: str, places: dict[int, int]
) -> dict[str, str]:
    """The layers of a block's residual and attention parts."""
    paths = {}
    for layer in layers:
        if not (inner := re.fullmatch(rf"{re.escape(source)}\.(\d)\.(.+)", layer)):
            continue
        place = places.get(int(inner[1]))
        if place is None:
            continue
        name = inner[2]
        if name in RESNET:
            paths[layer] = f"{target}.resnets.{place}.{RESNET[name]}"
        elif name.startswith(("transformer_blocks.", "norm", "proj_")):
            paths[layer] = f"{target}.attentions.{place}.{name}"
    return paths


def _numbers(layers: Iterable[str], side: str) -> list[int]:
    return sorted({int(layer.split(".")[1]) for layer in layers if layer.startswith(f"{side}.")})
