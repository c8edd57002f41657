"""What is said of a file is what its tensors say, worked out by hand."""

import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapter_tools.conventions import convention
from lycoris_bench.adapter_tools.inspect import inspect
from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms.dora import axis
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.layer_names import block_of
from tests.support import tiny_files as tiny

HAND = {
    "lora_unet_mid_block_x.lora_up.weight": torch.tensor([[1.0], [2.0]]),
    "lora_unet_mid_block_x.lora_down.weight": torch.tensor([[3.0, 4.0]]),
    "lora_unet_mid_block_x.alpha": torch.tensor(2.0),
}


def test_a_layer_by_hand(tmp_path: Path) -> None:
    """ΔW = ((6, 8), (12, 16)), whose sum of squares is 500."""
    tags = json.dumps({"10_a": {"red": 3, "blue": 1}, "5_b": {"red": 2}})
    file = tiny.write(
        tmp_path / "a.safetensors", HAND, ss_tag_frequency=tags, ss_network_args='{"algo": "lora"}'
    )
    found = inspect(file, layers=True)
    assert found["algorithms"] == {"lora": 1} and found["layout"] == "kohya"
    assert found["ranks"] == {"1": 1} and found["alphas"] == {"2": 1}
    assert found["blocks"] == {"unet.mid_block": {"layers": 1, "norm": pytest.approx(500**0.5)}}
    assert found["bytes"] == file.stat().st_size and found["dtypes"] == {"float16": 3}
    assert found["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    (rule,) = found["conventions"]
    assert rule["rule"] == "alpha/rank = 2/1" and rule["scale"] == 2
    assert rule["others"] == {"no alpha": [0.5, 0.5], "alpha/sqrt(rank)": [1, 1]}
    assert found["metadata"]["ss_network_args"] == {"algo": "lora"}
    assert found["metadata"]["ss_tag_frequency"] == {"folders": 2, "tags": 2}
    assert found["layers"][0]["shapes"]["lora_up.weight"] == [2, 1]
    assert "alpha/rank = 2/1: 1 layer of lora" in found["text"] and "22.36" in found["text"]


def test_a_blocks_norm_is_that_of_its_layers_together(tmp_path: Path) -> None:
    """500 and 500/4 are the sums of squares of two layers of one block."""
    twin = {key.replace("_x.", "_y."): value / 2 for key, value in HAND.items()}
    twin["lora_unet_mid_block_y.alpha"] = torch.tensor(4.0)
    found = inspect(tiny.write(tmp_path / "a", HAND | twin))
    block = found["blocks"]["unet.mid_block"]
    assert block["layers"] == 2 and block["norm"] == pytest.approx((500 + 500 / 4) ** 0.5)


def test_layers_in_natural_order_and_names_that_a_terminal_would_obey(tmp_path: Path) -> None:
    numbers = (0, 1, 2, 10, 11, 100)
    tensors = {f"lora_unet_x_{k}.diff": torch.ones(2, 2) for k in numbers[::-1]}
    tensors["lora_unet_\x1b[31mred.diff"] = torch.ones(2, 2)
    about = {"note\x07": "a\u202eb\nc", "thumbnail": "x" * 200_000}
    found = inspect(tiny.write(tmp_path / "a\x1bb", tensors, **about), layers=True)
    names = [row["layer"] for row in found["layers"]]
    assert names == ["lora_unet_\x1b[31mred", *(f"lora_unet_x_{k}" for k in numbers)]
    assert found["metadata"]["thumbnail"] == "x" * 200_000  # --json has all
    text = found["text"]
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "note\\x07: a\\u202eb\\nc" in text and "lora_unet_\\x1b[31mred" in text
    assert "(199700 more characters)" in text and len(text) < 3000


DEEP, ODD = "[" * 500 + "]" * 500, '{"a": "\\ud800"}'


@pytest.mark.parametrize("text", [DEEP, "[" * 100_000, ODD, "[1,", '{"a": ' + "9" * 5000 + "}"])
def test_metadata_that_is_no_json_of_a_sane_depth_stays_a_text(tmp_path: Path, text: str) -> None:
    file = tiny.write(tmp_path / "a", HAND, odd=text, ss_network_dim="²", ss_tag_frequency=text)
    found = inspect(file)
    assert found["metadata"]["odd"] == found["metadata"]["ss_tag_frequency"] == text
    assert json.loads(json.dumps(found))["metadata"]["odd"] == text and found["text"].encode()


@pytest.mark.parametrize(("name", "width", "family"), [
    ("lora_unet_double_blocks_0_img_attn_qkv", 3072, "Flux"),
    ("diffusion_model.joint_blocks.0.x_block.attn.qkv", 1536, "Stable Diffusion 3"),
    ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 2048,
     "Stable Diffusion XL"),
    ("lora_unet_mid_block_x", 4, None),
])  # fmt: skip
def test_the_family_is_told(tmp_path: Path, name: str, width: int, family: str | None) -> None:
    tensors = {f"{name}.lora_up.weight": torch.ones(3 * width, 1),
               f"{name}.lora_down.weight": torch.ones(1, width)}  # fmt: skip
    found = inspect(tiny.write(tmp_path / "a", tensors))
    assert found["family"] == family
    said = family or "a family that neither its names nor its metadata tell"
    assert f"for         {said}" in found["text"]
    whole = sum(block["norm"] ** 2 for block in found["blocks"].values()) ** 0.5
    assert whole == pytest.approx((3 * width * width) ** 0.5, rel=1e-5)  # q, k and v together


@pytest.mark.parametrize(("alpha", "norm"), [(1e30, 5e29), (3e38, None), (1e-45, 0.0)])
def test_changes_at_the_ends_of_fp32(tmp_path: Path, alpha: float, norm: float | None) -> None:
    one = torch.ones(1, 1)
    tensors = {"lora_unet_x.lora_up.weight": torch.full((1, 2), 2.0),
               "lora_unet_x.lora_down.weight": torch.full((2, 1), 1e3 if norm is None else 0.25),
               "lora_unet_x.alpha": one[0, 0] * alpha}  # fmt: skip
    file = tmp_path / "a"
    from safetensors.torch import save_file

    save_file(tensors, file)
    if norm is None:
        said = "a: lora_unet_x: the largest number of its change is 6e"
        with pytest.raises(adapter_file.AdapterFileError, match=said):
            inspect(file)
    else:
        assert inspect(file)["blocks"]["unet.other"]["norm"] == pytest.approx(norm, rel=1e-6)


def applied(tensors: dict[str, Tensor], alpha: float | None, weight: Tensor) -> float:
    """|ΔW| with another alpha."""
    others = {key: value for key, value in tensors.items() if key != "alpha"}
    if alpha is not None:
        others["alpha"] = torch.tensor(alpha)
    return float((merged_weight(others, weight) - weight).norm())


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr", "glora"])
def test_factors_of_other_conventions(tmp_path: Path, algorithm: str) -> None:
    """Each factor is the ratio of two changes made with the alphas that mean that convention."""
    options = {"full_matrix": False, "factor": 2} if algorithm == "lokr" else {}
    pair = tiny.models()
    file = tiny.adapter(tmp_path / "a", pair, algorithm, "attn-mlp", dim=3, alpha=2, **options)
    name, path = "lora_unet_mid_block_attentions_0_proj_in", "mid_block.attentions.0.proj_in"
    tensors = adapter_file.by_layer(adapter_file.read(file)[0])[name]
    weight = pair[0].state_dict()[f"{path}.weight"]
    found = convention(tensors)
    assert found is not None and found.applied == pytest.approx(2 / 3)
    now = applied(tensors, 2.0, weight)
    assert found.others["no alpha"] == pytest.approx(applied(tensors, None, weight) / now, rel=1e-4)
    root = applied(tensors, 2.0 * math.sqrt(3), weight) / now
    assert found.others["alpha/sqrt(rank)"] == pytest.approx(root, rel=1e-4)


def test_whole_lokr_has_scale_1_and_peft_reads_alpha() -> None:
    tensors = {"lokr_w1": torch.ones(2, 2), "lokr_w2": torch.ones(3, 3), "alpha": torch.tensor(8.0)}
    found = convention(tensors, network_dim=16)
    assert found is not None and found.applied == 1 and "two whole blocks" in found.rule
    assert found.others == {"no alpha": 1.0, "alpha/rank, as PEFT reads LoKr": 0.5}


@pytest.mark.parametrize("on_output", [False, True])
def test_the_axis_of_dora_and_norms_with_a_model(tmp_path: Path, on_output: bool) -> None:
    pair = tiny.models()
    file = tiny.adapter(
        tmp_path / "a", pair, "lora", "attn-only", dora_wd=True, wd_on_output=on_output
    )
    layers = adapter_file.by_layer(adapter_file.read(file)[0])
    axes = {axis(tensors) for tensors in layers.values()}
    assert axes == {"output" if on_output else "input"}
    alone = inspect(file)
    assert all(block["norm"] is None for block in alone["blocks"].values())
    assert "norms marked - need the base model: give --model" in alone["text"]
    found = inspect(file, str(tiny.folder(tmp_path / "base", pair)), layers=True)
    state = pair[0].state_dict()
    path = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weight = state[f"{path}.weight"]
    name = "lora_unet_" + path.replace(".", "_")
    row = next(one for one in found["layers"] if one["layer"] == name)
    moved = merged_weight(layers[name], weight) - weight
    assert row["norm"] == pytest.approx(float(moved.norm()), rel=1e-4)
    others = {key for one in found["conventions"] for key in one["others"]}
    assert ("DoRA by input norms: relative error" in others) == on_output
    if on_output:  # W' = m_o · V / |V| over outputs, in float64
        plain = {key: v for key, v in layers[name].items() if key != "dora_scale"}
        v = merged_weight(plain, weight).double()
        wrong = v * layers[name]["dora_scale"].double() / v.norm(dim=0, keepdim=True)
        error = float((wrong - weight - moved).norm() / moved.norm())
        said = row["others"]["DoRA by input norms: relative error"]
        assert said == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in", "unet.down_blocks.0"),
        ("lora_unet_input_blocks_11_0_in_layers_2", "unet.input_blocks.11"),
        ("lora_unet_middle_block_1_proj_in", "unet.middle_block"),
        ("unet.conv_norm_out", "unet.conv_norm_out"),
        ("lora_unet_time_embedding_linear_1", "unet.time_embedding"),
        ("lora_te2_text_model_encoder_layers_31_mlp_fc1", "text_encoder_2.layers.31"),
        ("text_encoder.text_model.encoder.layers.3.mlp.fc1", "text_encoder.layers.3"),
        (
            "lora_transformer_single_transformer_blocks_7_x",
            "transformer.single_transformer_blocks.7",
        ),
        ("something", "layers.other"),
    ],
)
def test_blocks(name: str, block: str) -> None:
    assert block_of(name) == block
