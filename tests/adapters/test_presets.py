"""Which layers are trained, and what they are called, against published tables and names."""

import json
import math

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.layer_names import block_of
from lycoris_bench.adapters.presets.layers import layers, targets

Models = tuple[nn.Module, nn.Module]


@pytest.fixture(scope="module")
def stable_diffusion() -> Models:
    """Stable Diffusion 1.5 in its true shape, without memory for the weights."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    clip = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, projection_dim=768,
        num_hidden_layers=12, num_attention_heads=12,
    )  # fmt: skip
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
        return unet, CLIPTextModel(clip)


def file_length(tensors: dict[str, Tensor], metadata: dict[str, str]) -> int:
    """Bytes of a half-precision safetensors file: its JSON header, and two for each number."""
    header, start = {"__metadata__": metadata}, 0
    for key, value in tensors.items():
        end = start + 2 * value.numel()
        header[key] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [start, end]}
        start = end
    return 8 + len(json.dumps(header, separators=(",", ":"))) + start


def printed(length: int) -> str:
    """As `ls -lh` prints it: rounded up, with a decimal below ten."""
    unit, size = ("G", length / 2**30) if length >= 2**30 else ("M", length / 2**20)
    return f"{math.ceil(size * 10) / 10:.1f}{unit}" if size < 10 else f"{math.ceil(size)}{unit}"


# Table 5 of the LyCORIS paper: modules of U-Net and text encoder, trained numbers (counted with
# the authors' library), and the file's size as printed there; the authors' files hold about
# 74 kB of metadata.
TABLE_5 = [
    ("lora", "attn-only", {"dim": 8}, 128, 48, 2_184_192, "4.4M"),
    ("lora", "attn-mlp", {"dim": 8}, 192, 72, 4_718_592, "9.2M"),
    ("lora", "full", {"dim": 8}, 390, 72, 9_992_512, "20M"),
    ("lora", "attn-mlp", {"dim": 32}, 192, 72, 18_874_368, "37M"),
    ("loha", "attn-only", {"dim": 4}, 128, 48, 2_184_192, "4.4M"),
    ("loha", "attn-mlp", {"dim": 4}, 192, 72, 4_718_592, "9.3M"),
    ("loha", "full", {"dim": 4}, 390, 72, 9_992_512, "20M"),
    ("loha", "attn-mlp", {"dim": 16}, 192, 72, 18_874_368, "37M"),
    ("lokr", "attn-mlp", {"factor": 12}, 192, 72, 3_257_856, "6.4M"),
    ("lokr", "attn-only", {"factor": 8}, 128, 48, 1_914_752, "3.8M"),
    ("lokr", "attn-mlp", {"factor": 8}, 192, 72, 5_515_520, "11M"),
    ("lokr", "full", {"factor": 8}, 390, 72, 14_973_504, "29M"),
    ("lokr", "attn-mlp", {"factor": 4}, 192, 72, 21_998_720, "43M"),
    ("full", "attn-only", {}, 128, 48, 121_885_056, "233M"),
    ("full", "attn-mlp", {}, 192, 72, 352_157_120, "672M"),
    ("full", "full", {}, 390, 72, 944_537_924, "1.8G"),
]


@pytest.mark.parametrize(
    ("algorithm", "preset", "options", "unet", "text", "count", "size"), TABLE_5
)
def test_table_5(
    stable_diffusion: Models, algorithm: str, preset: str, options: dict,
    unet: int, text: int, count: int, size: str,
) -> None:  # fmt: skip
    network = attach(*stable_diffusion, preset, algorithm, options, seed=0)
    try:
        names = list(network.adapters)
        assert sum(name.startswith("lora_unet_") for name in names) == unet
        assert sum(name.startswith("lora_te_") for name in names) == text
        assert network.modules_matched == unet + text
        assert network.parameter_count == count
        tensors = network.tensors()
        length = file_length(tensors, {"ss_tag_frequency": "x" * 74_000})
        assert printed(length) == size
        if length < 5 * 2**20:  # the count of bytes is that of a real file
            zeros = {key: torch.zeros(value.shape) for key, value in tensors.items()}
            written = adapter_file.to_bytes(zeros, {"ss_tag_frequency": "x" * 74_000})
            assert abs(len(written) - length) < 200  # the hash in the metadata
    finally:
        network.detach()


@pytest.mark.parametrize(("preset", "unet", "text", "norms"), [
    ("attn-only", 128, 48, 0), ("attn-mlp", 192, 72, 0), ("full-lin", 230, 72, 0),
    ("full", 282, 72, 108), ("unet-only", 282, 0, 0), ("unet-transformer-only", 192, 0, 0),
    ("unet-convblock-only", 88, 0, 0),
])  # fmt: skip
def test_layers_of_each_preset(
    stable_diffusion: Models, preset: str, unet: int, text: int, norms: int
) -> None:
    found = targets(*stable_diffusion, preset)
    assert sum(target.is_norm for target in found) == norms
    assert sum(t.name.startswith("lora_unet_") and not t.is_norm for t in found) == unet
    assert sum(t.name.startswith("lora_te_") and not t.is_norm for t in found) == text
    assert len({target.name for target in found}) == len({t.module for t in found}) == len(found)


def test_names_are_those_of_published_files(stable_diffusion: Models) -> None:
    names = {target.name for target in targets(*stable_diffusion, "full")}
    assert names >= {
        "lora_unet_conv_in",
        "lora_unet_time_embedding_linear_1",
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff_net_0_proj",
        "lora_unet_mid_block_resnets_1_conv2",
        "lora_unet_up_blocks_0_upsamplers_0_conv",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
        "lora_te_text_model_encoder_layers_11_mlp_fc2",
    }
    assert not any(name.startswith("lora_te_encoder") for name in names)


def test_blocks_that_reports_count_in(stable_diffusion: Models) -> None:
    blocks = {target.block for target in targets(*stable_diffusion, "full")}
    assert blocks == {
        *(f"unet.{side}_blocks.{k}" for side in ("down", "up") for k in range(4)),
        *(f"unet.{part}" for part in ("mid_block", "time_embedding", "conv_in", "conv_out")),
        *(f"text_encoder.layers.{k}" for k in range(12)),
    }


def test_names_and_paths_tell_the_same_block(stable_diffusion: Models) -> None:
    """Files without a model beside them are counted by names, models by paths."""
    for target in layers(*stable_diffusion):
        assert block_of(target.name) == target.block


class CLIPAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(2, 2)


def nested(path: str) -> nn.Module:
    """A text encoder with one attention block at the path."""
    model: nn.Module = CLIPAttention()
    for name in reversed(path.split(".")):
        parent = nn.Module()
        parent.add_module(name, model)
        model = parent
    return model


def test_both_layouts_of_clip_have_one_name() -> None:
    """transformers 5.6 dropped the `text_model` level, which every loader expects."""
    for path in ("encoder.layers.0.self_attn", "text_model.encoder.layers.0.self_attn"):
        (target,) = targets(nn.Module(), nested(path), "attn-only")
        assert target.name == "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
        assert target.block == "text_encoder.layers.0"


def test_layers_of_the_ia3_preset(stable_diffusion: Models) -> None:
    """Keys, values and the second layer of each feed-forward, which is scaled on its input."""
    network = attach(*stable_diffusion, "ia3", "ia3", {}, seed=0)
    try:
        on_input = [name for name, one in network.adapters.items()
                    if int(one.tensors()["on_input"])]  # fmt: skip
        assert all(name.endswith(("ff_net_2", "mlp_fc2")) for name in on_input)
        assert len(on_input) == 16 + 12 and network.modules_matched == 16 * 5 + 12 * 3
        for algorithm in ("lora", "full"):
            with pytest.raises(ValueError, match="preset 'ia3' is for ia3 alone, not for"):
                attach(*stable_diffusion, "ia3", algorithm, {}, seed=0)
    finally:
        network.detach()


def test_an_unknown_preset_suggests_the_one_meant() -> None:
    with pytest.raises(ValueError, match="unknown preset 'attn_mlp'; did you mean 'attn-mlp'"):
        targets(nn.Module(), None, "attn_mlp")
