"""Flux: known by its adapters' layers; its base models are not read."""

import re
from collections.abc import Mapping

from lycoris_bench.models.families.base import Evidence, Family

# Joint attention, of SD 3 and Flux, which its width tells apart.
JOINT = re.compile(r".*transformer_blocks[._]\d+[._]attn[._](to_[qkv]|add_[qkv]_proj)")
BLOCKS = re.compile(r".*(single_transformer_blocks|single_blocks|double_blocks)[._]\d")
WIDTH = 3072


class Flux(Family):
    """A transformer of double and single blocks."""

    name = "Flux"
    base_model_version = "flux1"
    stated = r"flux[-_.]?1"
    parts = {}  # noqa: RUF012
    marks = (BLOCKS, JOINT)

    def in_layers(self, layers: Mapping[str, int | None]) -> Evidence:
        if any(BLOCKS.match(name) for name in layers):
            return Evidence.CERTAIN
        wide = any(JOINT.match(name) for name, inputs in layers.items() if inputs == WIDTH)
        return Evidence.LIKELY if wide else Evidence.NONE
