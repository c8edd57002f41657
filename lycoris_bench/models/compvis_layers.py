"""The layer names of CompVis's U-Net, from the block structure of diffusers' own, and those of the
text encoder OpenCLIP that its files hold."""

import re
from collections.abc import Collection, Iterator

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip

RESBLOCK = {  # OpenCLIP's -> CLIP's
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}  # fmt: skip


def unet_names(paths: Collection[str]) -> dict[str, str]:
    """diffusers' path -> CompVis's, for every layer of a U-Net that has one.

    CompVis numbers what follows one another: a residual block with its attention, a change of
    size. So the numbers follow from how many blocks there are, how many layers each has, and
    which have attention: SD1.x, SD2 and SDXL need no table of their own."""
    moved = dict(_places(paths))
    names = {path: ENDS[path] for path in paths if path in ENDS}
    for path in paths:
        head = re.match(r"(?:(?:down|up)_blocks\.\d+|mid_block)\.\w+\.\d+(?=\.)", path)
        if head and head[0] in moved:
            rest = path[head.end() + 1 :]
            names[path] = f"{moved[head[0]]}.{_inside(head[0], rest)}"
    return names


def _inside(part: str, rest: str) -> str:
    if ".resnets." in part:
        return RESNET.get(rest, rest)
    return "op" if ".downsamplers." in part else rest


def _places(paths: Collection[str]) -> Iterator[tuple[str, str]]:
    """(part of diffusers' U-Net, its place in CompVis's)."""
    number = 1  # 0 is conv_in
    for block in _numbers("down_blocks", paths):
        here = f"down_blocks.{block}"
        for layer in _numbers(f"{here}.resnets", paths):
            yield f"{here}.resnets.{layer}", f"input_blocks.{number}.0"
            yield f"{here}.attentions.{layer}", f"input_blocks.{number}.1"
            number += 1
        if _numbers(f"{here}.downsamplers", paths):
            yield f"{here}.downsamplers.0", f"input_blocks.{number}.0"
            number += 1
    for layer in _numbers("mid_block.resnets", paths):
        yield f"mid_block.resnets.{layer}", f"middle_block.{2 * layer}"
    for layer in _numbers("mid_block.attentions", paths):
        yield f"mid_block.attentions.{layer}", f"middle_block.{2 * layer + 1}"
    number = 0
    for block in _numbers("up_blocks", paths):
        here = f"up_blocks.{block}"
        attention = _numbers(f"{here}.attentions", paths)
        for layer in _numbers(f"{here}.resnets", paths):
            yield f"{here}.resnets.{layer}", f"output_blocks.{number}.0"
            yield f"{here}.attentions.{layer}", f"output_blocks.{number}.1"
            number += 1
        # the change of size stands at the end of the block's last layer
        last = f"output_blocks.{number - 1}.{2 if attention else 1}"
        yield f"{here}.upsamplers.0", last


def _numbers(part: str, paths: Collection[str]) -> list[int]:
    """The numbers that follow `part.` in the paths, in order."""
    start = f"{part}."
    numbers = {path[len(start) :].partition(".")[0] for path in paths if path.startswith(start)}
    return sorted(int(number) for number in numbers if number.isdigit())
