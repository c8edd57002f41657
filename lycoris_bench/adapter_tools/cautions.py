"""Warnings about programs that read a converted file otherwise than it means."""

from collections.abc import Iterator

from lycoris_bench.adapter_tools.source import Adapter
from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.formats.comfyui import FUSED
from lycoris_bench.adapters.formats.layer_names import TEXTS

LYCORIS_NAMES = ("kohya", "lycoris", "compvis")  # layouts that keep the tensors as they are
WEBUI = "up_blocks.0.upsamplers.0.conv"


def cautions(adapter: Adapter, to: str) -> list[str]:
    """A sentence for each part of the file that a known program reads otherwise; usually none."""
    return list(_cautions(adapter, to))


def _cautions(adapter: Adapter, to: str) -> Iterator[str]:
    places = [source.place for source in adapter.layers if source.place]
    kinds = dict.fromkeys(source.kind for source in adapter.layers)
    if to == "comfyui":
        yield from dict.fromkeys(kind.comfyui_caution for kind in kinds if kind.comfyui_caution)
    alone = [kind.__name__ for kind in kinds if not kind.known_elsewhere]
    if to in LYCORIS_NAMES and alone:
        yield (f"no other program is known to read {' and '.join(alone)}; --to portable makes "
               "plain LoRA of it")  # fmt: skip
    if to == "lycoris" and any(model in TEXTS for model, _ in places):
        yield ("ComfyUI reads no text encoders under names of lycoris; --to comfyui or "
               "--to kohya has them")  # fmt: skip
    if to == "kohya" and adapter.family == "Stable Diffusion XL" and ("unet", WEBUI) in places:
        yield (f"A1111's webui (1.10) finds {WEBUI} of Stable Diffusion XL under CompVis names "
               "only: --to compvis")  # fmt: skip
    if to == "full" and any(
        BIAS in source.tensors and FUSED.fullmatch(source.place[1])
        for source in adapter.layers
        if source.place and source.place[0] == "transformer"
    ):
        yield ("ComfyUI loses the biases of q, k and v of a transformer, which are slices of one "
               "layer there")  # fmt: skip
