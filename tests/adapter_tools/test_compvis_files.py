"""CompVis keys, against diffusers' own converter on the real models' structures."""

from pathlib import Path

import pytest
import torch

from lycoris_bench.adapter_tools.weights_on_disk import open_model
from lycoris_bench.models.compvis_names import Spot, is_checkpoint, spots
from tests.support import tiny_files as tiny

SD1 = {"cross_attention_dim": 768}
SDXL = {
    "cross_attention_dim": 2048, "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True, "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip


@pytest.mark.parametrize("config", [SD1, SDXL])
def test_every_key_of_the_unet_lies_where_diffusers_puts_it(config: dict[str, object]) -> None:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    from lycoris_bench.models.compvis_layers import unet_names

    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    keys = list(unet.state_dict())
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    names = unet_names(layers)
    theirs = [
        f"model.diffusion_model.{names[layer]}.{kind}"
        for layer, _, kind in (key.rpartition(".") for key in keys)
    ]
    numbered = {key: torch.tensor(float(n)) for n, key in enumerate(theirs)}
    converted = convert_ldm_unet_checkpoint(dict(numbered), dict(unet.config))
    wanted = {theirs[int(value)]: key for key, value in converted.items()}
    found = spots(theirs)
    assert len(wanted) == len(keys) == len(found)
    for key, place in wanted.items():
        (spot,) = found[key]
        assert (spot.model, f"{spot.path}.{spot.kind}") == ("unet", place)


def test_every_weight_of_a_single_file_is_found(tmp_path: Path) -> None:
    pair = tiny.models()
    model = open_model(tiny.single_file(tmp_path / "a.safetensors", pair))
    for kind, part in (("unet", pair[0]), ("text_encoder", pair[1])):
        for key, value in part.state_dict().items():
            path, _, what = key.rpartition(".")
            if kind == "text_encoder" and not path.startswith("text_model."):
                path = f"text_model.{path}"
            assert torch.equal(model.read(kind, path, what), value), key
            assert model.shape(kind, path, what) == value.shape


def test_open_clip_is_two_encoders_names() -> None:
    key = "conditioner.embedders.1.model.transformer.resblocks.3"
    found = spots([f"{key}.attn.in_proj_bias", f"{key}.mlp.c_proj.weight", f"{key}.ln_2.weight",
                   "conditioner.embedders.1.model.text_projection",
                   "conditioner.embedders.0.transformer.text_model.final_layer_norm.bias",
                   "first_stage_model.encoder.conv_in.weight"])  # fmt: skip
    layer = "text_model.encoder.layers.3"
    assert found == {
        f"{key}.attn.in_proj_bias": [
            Spot("text_encoder_2", f"{layer}.self_attn.{part}_proj", "bias", third)
            for third, part in enumerate("qkv")
        ],
        f"{key}.mlp.c_proj.weight": [Spot("text_encoder_2", f"{layer}.mlp.fc2", "weight")],
        f"{key}.ln_2.weight": [Spot("text_encoder_2", f"{layer}.layer_norm2", "weight")],
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.bias": [
            Spot("text_encoder", "text_model.final_layer_norm", "bias")
        ],
    }


def test_an_adapter_is_no_checkpoint() -> None:
    assert is_checkpoint(["model.diffusion_model.out.0.weight"])
    assert not is_checkpoint(["lora_unet_conv_in.alpha"])
