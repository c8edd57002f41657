"""Stable Diffusion 3: known by its adapters' layers; its base models are not read."""

import re
from collections.abc import Mapping

from lycoris_bench.models.families.base import Evidence, Family

# Joint attention, of SD 3 and Flux, which its width tells apart.
JOINT = re.compile(r".*transformer_blocks[._]\d+[._]attn[._](to_[qkv]|add_[qkv]_proj)")
JOINT_BLOCKS = re.compile(r".*joint_blocks[._]\d")  # as Stability calls them
POSITIONS = re.compile(r".*pos_embed[._]proj")
WIDTHS = (1536, 2432)


class SD3(Family):
    """A transformer of joint blocks."""

    name = "Stable Diffusion 3"
    base_model_version = "sd3"
    stated = r"sd_?v?3|stable-diffusion-v?3"
    parts = {}  # noqa: RUF012
    marks = (JOINT, JOINT_BLOCKS, POSITIONS)

    def in_layers(self, layers: Mapping[str, int | None]) -> Evidence:
        if any(JOINT_BLOCKS.match(name) for name in layers):
            return Evidence.CERTAIN
        joint = {inputs for name, inputs in layers.items() if JOINT.match(name)}
        placed = joint and any(POSITIONS.match(name) for name in layers)
        return Evidence.LIKELY if placed or joint & {*WIDTHS} else Evidence.NONE
