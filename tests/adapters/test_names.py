"""The names of layers, against diffusers' own conversion and names of published files."""

import inspect
from functools import cache

import pytest
import torch
from torch import nn

from lycoris_bench.adapters.formats.layer_names import LAYOUTS, Directory
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.models.compvis_layers import unet_names

SD1 = {"cross_attention_dim": 768, "attention_head_dim": 8}
SD2 = {
    "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}  # fmt: skip
SDXL = {
    "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
    "block_out_channels": (320, 640, 1280), "use_linear_projection": True,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
SMALL = {
    "cross_attention_dim": 8, "block_out_channels": (32, 64), "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}  # fmt: skip
SHAPES = pytest.mark.parametrize("shape", [SD1, SD2, SDXL, SMALL], ids=["1", "2", "XL", "small"])


def unet(shape: dict) -> nn.Module:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(**shape)


def layers(model: nn.Module) -> list[str]:
    return [path for path, module in model.named_modules() if "weight" in module._parameters]


def clip(depth: int, level: str = "", projection: bool = False) -> list[str]:
    parts = ["self_attn.q_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2", "layer_norm1"]
    found = [f"{level}encoder.layers.{k}.{part}" for k in range(depth) for part in parts]
    return [*found, f"{level}final_layer_norm", *(["text_projection"] if projection else [])]


@cache
def sdxl() -> Directory:
    return Directory(
        {
            "unet": layers(unet(SDXL)),
            "text_encoder": clip(12),
            "text_encoder_2": clip(32, "text_model.", projection=True),
        }
    )


@SHAPES
def test_compvis_names_are_those_that_diffusers_converts(shape: dict) -> None:
    """A checkpoint under our names, converted by diffusers, has each weight in its place."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    model = unet(shape)
    names = unet_names(layers(model))
    assert set(names) == set(layers(model))
    keys = [key for key, _ in model.named_parameters()]
    wanted = {key: torch.tensor(float(k)) for k, key in enumerate(keys)}
    checkpoint = {
        f"model.diffusion_model.{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
        for key, value in wanted.items()
    }
    assert len(checkpoint) == len(wanted)
    config = dict(model.config)
    if "text_time" in str(config["addition_embed_type"]):
        config["class_embed_type"] = None
    found = convert_ldm_unet_checkpoint(checkpoint, config)
    assert found.keys() == wanted.keys()
    assert all(found[key] is wanted[key] for key in wanted)


@SHAPES
def test_every_spelling_finds_the_layer(shape: dict) -> None:
    where = Directory({"unet": layers(unet(shape)), "text_encoder": clip(3)})
    for model, path in where:
        for layout in LAYOUTS:
            spelled = where.spell(model, path, layout)
            assert where.find(spelled) == where.find(spelled.replace(".", "_")) == (model, path)


@pytest.mark.parametrize(("name", "model", "path"), [
    ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", "unet",
     "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"),
    ("lora_unet_output_blocks_2_2_conv", "unet", "up_blocks.0.upsamplers.0.conv"),
    ("lora_unet_middle_block_2_in_layers_2", "unet", "mid_block.resnets.1.conv1"),
    ("lora_unet_input_blocks_3_0_op", "unet", "down_blocks.0.downsamplers.0.conv"),
    ("lora_unet_input_blocks_4_0_skip_connection", "unet",
     "down_blocks.1.resnets.0.conv_shortcut"),
    ("lora_unet_time_embed_0", "unet", "time_embedding.linear_1"),
    ("lora_unet_label_emb_0_2", "unet", "add_embedding.linear_2"),
    ("lora_unet_out_2", "unet", "conv_out"),
    ("oft_unet_mid_block_attentions_0_proj_in", "unet", "mid_block.attentions.0.proj_in"),
    ("lycoris_unet_conv_in", "unet", "conv_in"),
    ("lycoris_conv_in", "unet", "conv_in"),
    ("diffusion_model.middle_block.1.transformer_blocks.9.attn2.to_v", "unet",
     "mid_block.attentions.0.transformer_blocks.9.attn2.to_v"),
    ("unet.down_blocks.2.attentions.1.proj_out", "unet", "down_blocks.2.attentions.1.proj_out"),
    ("base_model.model.conv_out", "unet", "conv_out"),
    ("lora_te1_text_model_encoder_layers_0_mlp_fc1", "text_encoder", "encoder.layers.0.mlp.fc1"),
    ("lora_te_encoder_layers_11_mlp_fc2", "text_encoder", "encoder.layers.11.mlp.fc2"),
    ("lora_te2_text_model_encoder_layers_31_self_attn_q_proj", "text_encoder_2",
     "text_model.encoder.layers.31.self_attn.q_proj"),
    ("lora_te2_text_projection", "text_encoder_2", "text_projection"),
    ("text_encoder.text_model.encoder.layers.2.self_attn.out_proj", "text_encoder",
     "encoder.layers.2.self_attn.out_proj"),
    ("text_encoder_2.encoder.layers.2.mlp.fc1", "text_encoder_2",
     "text_model.encoder.layers.2.mlp.fc1"),
    ("text_encoders.clip_l.transformer.text_model.encoder.layers.3.mlp.fc1", "text_encoder",
     "encoder.layers.3.mlp.fc1"),
    ("clip_g.transformer.text_model.encoder.layers.3.mlp.fc1", "text_encoder_2",
     "text_model.encoder.layers.3.mlp.fc1"),
    ("lycoris_te2_encoder_layers_0_mlp_fc1", "text_encoder_2",
     "text_model.encoder.layers.0.mlp.fc1"),
])  # fmt: skip
def test_spellings_of_published_sdxl_files(name: str, model: str, path: str) -> None:
    assert sdxl().find(name) == (model, path)


@pytest.mark.parametrize("name", [
    "lora_unet_", "lora_unet_conv_inn", "lora_te3_text_model_encoder_layers_0_mlp_fc1", "",
    "lora_unet_input_blocks_9_0_in_layers_2", "lora_te_text_model_encoder_layers_12_mlp_fc1",
])  # fmt: skip
def test_what_is_no_layer(name: str) -> None:
    assert sdxl().find(name) is None


def test_a_name_that_fits_two_layers_names_both() -> None:
    reason = (r"may be text_encoder\.encoder\.layers\.0\.mlp\.fc1 and "
              r"text_encoder_2\.text_model\.encoder\.layers\.0\.mlp\.fc1")  # fmt: skip
    for name in ("lycoris_encoder_layers_0_mlp_fc1", "base_model.model.encoder.layers.0.mlp.fc1"):
        with pytest.raises(AdapterFileError, match=reason):
            sdxl().find(name)
    with pytest.raises(AdapterFileError, match=r"may be unet\.a\.b_c and unet\.a_b\.c"):
        Directory({"unet": ["a.b_c", "a_b.c"]}).find("lora_unet_a_b_c")


@pytest.mark.parametrize("kind", ["text_encoder", "text_encoder_2"])
@pytest.mark.parametrize("number", ["", "1", "2"])
def test_a_models_only_text_encoder_may_be_the_first(kind: str, number: str) -> None:
    """SDXL's refiner has the second alone. A second one of a model with the first alone is that
    of another family's file."""
    where = Directory({kind: clip(2)})
    name = f"lora_te{number}_text_model_encoder_layers_1_mlp_fc1"
    foreign = (kind, number) == ("text_encoder", "2")
    assert where.find(name) == (None if foreign else (kind, "encoder.layers.1.mlp.fc1"))
    assert where.spell(kind, "encoder.layers.1.mlp.fc1").startswith("lora_te_text_model_")


def test_the_clip_that_comfyui_calls_it() -> None:
    path = "encoder.layers.0.mlp.fc1"
    for depth, name in ((12, "clip_l"), (23, "clip_h")):
        where = Directory({"text_encoder": clip(depth)})
        assert where.spell("text_encoder", path, "comfyui") == (
            f"text_encoders.{name}.transformer.text_model.{path}"
        )


def test_names_of_transformers() -> None:
    where = Directory(
        {
            "transformer": ["single_transformer_blocks.3.proj_out"],
            "text_encoder_2": ["encoder.block.0.layer.0.SelfAttention.q"],
        }
    )
    path = "single_transformer_blocks.3.proj_out"
    plain = path.replace(".", "_")
    for name in (f"lora_transformer_{plain}", f"lora_unet_{plain}", f"transformer.{path}",
                 f"diffusion_model.{path}"):  # fmt: skip
        assert where.find(name) == ("transformer", path)
    assert where.spell("transformer", path) == f"lora_transformer_{plain}"
    assert where.find("t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q")
    with pytest.raises(AdapterFileError, match="comfyui has no name for transformer"):
        where.spell("transformer", path, "comfyui")


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="unknown model kinds: u_net"):
        Directory({"u_net": ["a"]})
    with pytest.raises(ValueError, match="unknown layout 'kohia'; allowed are: kohya, lycoris"):
        Directory({"unet": ["a"]}).spell("unet", "a", "kohia")
    assert "torch" not in inspect.getsource(inspect.getmodule(Directory))
