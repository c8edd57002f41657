"""One forward pass of a U-Net for drawing: the equations of diffusers' `UNet2DConditionModel`, with
what repeats itself computed once.

- Keys and values of the text depend on no step: computed once a batch (`Text`).
- All images of a batch are at one step: its embedding is computed for one row.
- The guided and the unguided half of a batch are equal until they first look at the text: until
  there one half is computed.
- Pixels are channels last throughout, so that no layer copies them (layers.py)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lycoris_bench.models.conditioning import Conditioning
from lycoris_bench.sampling.attention import Keys, attend
from lycoris_bench.sampling.layers import (
    activated,
    channels_last,
    linear,
    normed,
    pixelwise,
    resnet,
    tokens,
)

EXPECTED = {  # of a config; another value is another equation
    "center_input_sample": False, "act_fn": "silu", "time_embedding_type": "positional",
    "time_embedding_act_fn": None, "timestep_post_act": None, "time_cond_proj_dim": None,
    "class_embed_type": None, "num_class_embeds": None, "encoder_hid_dim": None,
    "encoder_hid_dim_type": None, "dual_cross_attention": False, "cross_attention_norm": None,
    "resnet_time_scale_shift": "default", "resnet_skip_time_act": False, "dropout": 0.0,
    "attention_type": "default", "only_cross_attention": False,
    "mid_block_only_cross_attention": None,
    "resnet_out_scale_factor": 1.0, "mid_block_scale_factor": 1, "norm_num_groups": int,
}  # fmt: skip
BLOCKS = {"CrossAttnDownBlock2D", "DownBlock2D", "UNetMidBlock2DCrossAttn", "CrossAttnUpBlock2D",
          "UpBlock2D"}  # fmt: skip
PLAIN = (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)
PROCESSORS = {"AttnProcessor", "AttnProcessor2_0"}


def known(unet: Any) -> bool:
    """Whether `forward` has the equations of this network, none of whose layers is wrapped."""
    if type(unet).__name__ != "UNet2DConditionModel":
        return False
    about = unet.config
    kinds = {*about.down_block_types, about.mid_block_type, *about.up_block_types}
    return (
        kinds <= BLOCKS
        and about.get("addition_embed_type") in (None, "text_time")
        and all(_as_expected(about.get(key, value), value) for key, value in EXPECTED.items())
        and {type(one).__name__ for one in unet.attn_processors.values()} <= PROCESSORS
        and not any(_wrapped(layer) for layer in unet.modules())
    )


def _as_expected(found: object, value: object) -> bool:
    return isinstance(found, value) if isinstance(value, type) else found == value


def _wrapped(layer: nn.Module) -> bool:
    """Whether a layer computes something else than its class says, or is of another class."""
    own = next(layer.parameters(recurse=False), None) is not None
    hooks = layer._forward_hooks or layer._forward_pre_hooks
    return "forward" in vars(layer) or bool(hooks) or (own and type(layer) not in PLAIN)


class Text:
    """The conditioning of a batch, with the keys and values that each layer looks at: good while
    the U-Net's weights stay as they are."""

    def __init__(self, unet: Any, text: Conditioning) -> None:
        dtype = text.hidden.dtype
        self.mask = None
        if text.mask is not None:
            self.mask = ((1 - text.mask.to(dtype)) * -10000.0)[:, None, None, :]
        self.rows, self.added = len(text.hidden), text.added
        self.keys = {
            layer: Keys.of(layer.to_k(text.hidden), layer.to_v(text.hidden), layer.heads, self.mask)
            for layer in _readers(unet)
        }


def _readers(unet: Any) -> Iterator[Any]:
    """The layers that look at the text."""
    for module in unet.modules():
        if type(module).__name__ == "BasicTransformerBlock":
            yield module.attn2


def forward(unet: Any, noisy: Tensor, timestep: Tensor, text: Text) -> Tensor:
    """The output [rows, c, h, w] for latents at one timestep []. Where the text has twice as many
    rows as the latents, each half of it is of all latents."""
    emb = F.silu(embedded(unet, timestep, text))
    x = unet.conv_in(channels_last(noisy))
    if len(emb) > 1:  # the halves are told different things besides the text
        x = doubled(x, len(emb))
    skips = [x]
    for block in unet.down_blocks:
        for k, layer in enumerate(block.resnets):
            x = resnet(layer, x, emb)
            if getattr(block, "has_cross_attention", False):
                x = transformer(block.attentions[k], x, text)
            skips.append(x)
        for layer in block.downsamplers or ():
            x = layer(x)
            skips.append(x)
    middle = unet.mid_block
    x = resnet(middle.resnets[0], x, emb)
    for attention, layer in zip(middle.attentions, middle.resnets[1:], strict=True):
        x = resnet(layer, transformer(attention, x, text), emb)
    for block in unet.up_blocks:
        for k, layer in enumerate(block.resnets):
            skip = skips.pop()
            x = resnet(layer, torch.cat([x, doubled(skip, len(x))], 1), emb)
            if getattr(block, "has_cross_attention", False):
                x = transformer(block.attentions[k], x, text)
        for layer in block.upsamplers or ():
            x = layer.conv(F.interpolate(x, size=skips[-1].shape[2:], mode="nearest"))
    output: Tensor = unet.conv_out(activated(unet.conv_norm_out, x))
    return output


def embedded(unet: Any, timestep: Tensor, text: Text) -> Tensor:
    """The embedding of the timestep, and of what the text tells besides: [1 or rows, d]."""
    sines = unet.time_proj(timestep.reshape(1)).to(unet.conv_in.weight.dtype)
    # Twice: the last digits of one row times a matrix depend on where the matrix lies in memory.
    emb: Tensor = unet.time_embedding(sines.expand(2, -1))[:1]
    besides = unet.get_aug_embed(emb, None, text.added)
    return emb if besides is None else emb + besides


def doubled(x: Tensor, rows: int) -> Tensor:
    """The rows of x, twice where only half of them are there."""
    return x if len(x) == rows else torch.cat([x, x])


def transformer(layer: Any, x: Tensor, text: Text) -> Tensor:
    """x + proj_out(blocks(proj_in(norm(x)))): every pixel looks at the others and at the text."""
    h = linear(layer.proj_in, normed(layer.norm, channels_last(x)))
    for block in layer.transformer_blocks:
        h = h + attended(block.attn1, pixelwise(block.norm1, h), None)
        h = doubled(h, text.rows)
        h = h + attended(block.attn2, pixelwise(block.norm2, h), text)
        h = h + feed_forward(block.ff, pixelwise(block.norm3, h))
    h = linear(layer.proj_out, h)
    return h + doubled(x, len(h))


def attended(layer: Any, x: Tensor, text: Text | None) -> Tensor:
    """The layer's attention to the text, or of x to itself."""
    if text is None:
        keys = Keys.of(tokens(linear(layer.to_k, x)), tokens(linear(layer.to_v, x)), layer.heads)
    else:
        keys = text.keys[layer]
    seen = attend(tokens(linear(layer.to_q, x)), layer.heads, keys)
    seen = seen.transpose(1, 2).unflatten(2, x.shape[2:])
    return linear(layer.to_out[0], channels_last(seen))


def feed_forward(layer: Any, x: Tensor) -> Tensor:
    """(x A + a) · gelu(x B + b), then a linear layer. A and B are the halves of one weight; apart
    from each other their outputs need no copy."""
    both = layer.net[0].proj
    half = both.out_features // 2
    h = linear(both, x, slice(half))
    h = h.mul_(pixelwise(F.gelu, linear(both, x, slice(half, None))))
    return linear(layer.net[2], h)
