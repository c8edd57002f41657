"""A base model as one file under CompVis's names, spelled out by hand from diffusers' names."""

import re

import torch
from safetensors.torch import save_file

from lycoris_bench.models.compvis_layers import unet_names

VAE = [
    (r"encoder\.down_blocks\.(\d)\.resnets\.(\d)", r"encoder.down.\1.block.\2"),
    (r"encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
]
RESBLOCK = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip


def unet(model):
    state = model.state_dict()
    names = unet_names([name.rpartition(".")[0] for name in state])
    moved = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        moved[f"model.diffusion_model.{names[layer]}.{kind}"] = tensor
    return moved


def vae(model):
    moved = {}
    for name, tensor in model.state_dict().items():
        up = re.match(r"decoder\.up_blocks\.(\d)\.(resnets|upsamplers)\.(\d)", name)
        if up:  # CompVis counts the way up from the finest level
            kind = f"block.{up[3]}" if up[2] == "resnets" else "upsample"
            name = f"decoder.up.{3 - int(up[1])}.{kind}{name[up.end() :]}"
        for ours, theirs in VAE:
            name = re.sub(ours, theirs, name)
        if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name):
            tensor = tensor[:, :, None, None]
        moved[f"first_stage_model.{name}"] = tensor
    return moved


def clip(model, prefix):
    state = {n.removeprefix("text_model."): t for n, t in model.state_dict().items()}
    return {f"{prefix}text_model.{name}": tensor for name, tensor in state.items()}


def open_clip(model, prefix, extra_layer=False):
    """With a last layer that SD 2.x does not use, where it is wanted."""
    state = {n.removeprefix("text_model."): t for n, t in model.state_dict().items()}
    moved = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    width = moved["ln_final.bias"].shape[0]
    projection = state.get("text_projection.weight", torch.ones(width, width))
    moved["text_projection"] = projection.T.contiguous()
    layers = len({name.split(".")[2] for name in state if name.startswith("encoder.layers.")})
    for k in range(layers + extra_layer):
        ours, theirs = f"encoder.layers.{min(k, layers - 1)}", f"transformer.resblocks.{k}"
        factor = 1 if k < layers else 7
        for kind in ("weight", "bias"):
            parts = [state[f"{ours}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            moved[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(parts) * factor
            for name, other in RESBLOCK.items():
                moved[f"{theirs}.{other}.{kind}"] = state[f"{ours}.{name}.{kind}"] * factor
    return {f"{prefix}{name}": tensor for name, tensor in moved.items()}


def tensors(backbone, family):
    """All tensors of the file."""
    first, *second = backbone.text_encoders
    text = {
        "sd15": lambda: clip(first, "cond_stage_model.transformer."),
        "sd2": lambda: open_clip(first, "cond_stage_model.model.", extra_layer=True),
        "sdxl": lambda: (
            clip(first, "conditioner.embedders.0.transformer.")
            | open_clip(second[0], "conditioner.embedders.1.model.")
        ),
    }[family]()
    return {**unet(backbone.unet), **vae(backbone.vae), **text}


def write(path, backbone, family, metadata=None):
    made = {name: tensor.contiguous().clone() for name, tensor in tensors(backbone, family).items()}
    save_file(made, path, metadata)
    return path
