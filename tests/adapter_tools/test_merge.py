"""A merged model on the disk is what merging into the loaded model gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.weights_on_disk import open_model
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.matching import AdapterMismatch
from lycoris_bench.adapters.merge import Merger
from tests.support import tiny_files as tiny

HALVES = [torch.float32, torch.float16, torch.bfloat16]


def in_memory(pair: tiny.Models, adapters: list[Path], strengths: list[float]) -> list[nn.Module]:
    """The loaded models after Merger, which tests/adapters hold against float64 formulas."""
    merger = Merger(*pair)
    merger.merge_all(
        [(adapter_file.read(f)[0], s) for f, s in zip(adapters, strengths, strict=True)]
    )
    return list(pair)


def load(folder: Path, dtype: torch.dtype) -> tiny.Models:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype)
    return unet, CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two algorithms on every layer, norms and biases among them; no test changes the files."""
    folder, pair = tmp_path_factory.mktemp("adapters"), tiny.models()
    return [
        tiny.adapter(folder / "one.safetensors", pair, "full", seed=3, size=0.01),
        tiny.adapter(folder / "two.safetensors", pair, "lora", dora_wd=True, seed=4, dim=4),
    ]


@pytest.mark.parametrize("dtype", HALVES)
def test_a_folder_loads_as_the_merged_model(
    tmp_path: Path, adapters: list[Path], dtype: torch.dtype
) -> None:
    pair = tiny.models()
    base = tiny.folder(tmp_path / "base", (pair[0].to(dtype), pair[1].to(dtype)))
    out = tmp_path / "out"
    found = merge(str(base), adapters, out, [0.7, -0.4])
    wanted = in_memory(load(base, dtype), adapters, [0.7, -0.4])
    for model, expected in zip(load(out, dtype), wanted, strict=True):
        got = model.state_dict()
        for key, value in expected.state_dict().items():
            assert got[key].dtype == dtype and torch.equal(got[key], value), key
    changed = sum(
        not torch.equal(one, two)
        for one, two in zip(
            (v for m in load(base, dtype) for v in m.state_dict().values()),
            (v for m in load(out, dtype) for v in m.state_dict().values()),
            strict=True,
        )
    )
    assert changed > 100 and found["merged_layers"] == found["adapters"][0]["matched"]
    assert found["status"] == 0 and not found["warnings"]


def test_shards_variants_and_other_files_are_kept(tmp_path: Path, adapters: list[Path]) -> None:
    base = tiny.folder(tmp_path / "base", tiny.models(), max_shard_size="300KB", variant="fp16")
    (base / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"old")
    (base / "all.ckpt").write_bytes(b"old")
    out = tmp_path / "out"
    found = merge(str(base), adapters, out)
    there, made = ({p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
                   for root in (base, out))  # fmt: skip
    assert there - made == {"unet/diffusion_pytorch_model.bin", "all.ckpt"} and made < there
    assert "all.ckpt, unet/diffusion_pytorch_model.bin" in found["warnings"][0]
    assert len(list((out / "unet").glob("*.fp16-*.safetensors"))) > 2
    index = "unet/diffusion_pytorch_model.safetensors.index.fp16.json"
    assert (out / index).read_bytes() == (base / index).read_bytes()
    assert (out / "vae/diffusion_pytorch_model.safetensors").read_bytes() == b"not looked at"
    from diffusers import UNet2DConditionModel

    wanted = in_memory(tiny.models(), adapters, [1.0, 1.0])[0].state_dict()
    got = UNet2DConditionModel.from_pretrained(out / "unet", variant="fp16").state_dict()
    assert all(torch.equal(got[key], value) for key, value in wanted.items())


@pytest.mark.parametrize("dtype", HALVES)
def test_a_single_file_keeps_its_layout(
    tmp_path: Path, adapters: list[Path], dtype: torch.dtype
) -> None:
    base = tiny.single_file(tmp_path / "base.safetensors", tiny.models(), dtype)
    out = tmp_path / "out.safetensors"
    merge(str(base), adapters, out, [0.7, -0.4])
    pair = tiny.models()
    merged = in_memory((pair[0].to(dtype), pair[1].to(dtype)), adapters, [0.7, -0.4])
    wanted = load_file(tiny.single_file(tmp_path / "wanted.safetensors", tuple(merged), dtype))
    got = load_file(out)
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
        assert got[key].dtype == value.dtype and torch.equal(got[key], value), key
    with safe_open(out, "pt") as file:
        assert file.metadata() == {"modelspec.title": "tiny"}  # the hash was of other numbers


def test_the_thirds_of_a_fused_projection(tmp_path: Path) -> None:
    """SDXL's second text encoder stacks q, k and v in one tensor."""
    generator = np.random.default_rng(0)
    key = "conditioner.embedders.1.model.transformer.resblocks.0"
    inside = {
        f"{key}.attn.in_proj_weight": (24, 8), f"{key}.attn.in_proj_bias": (24,),
        f"{key}.mlp.c_fc.weight": (16, 8), f"{key}.mlp.c_fc.bias": (16,),
        "model.diffusion_model.input_blocks.0.0.weight": (4, 4, 3, 3),
    }  # fmt: skip
    base = {k: generator.standard_normal(shape).astype("f") for k, shape in inside.items()}
    save_file({k: torch.from_numpy(v) for k, v in base.items()}, tmp_path / "base.safetensors")
    layer = "lora_te2_text_model_encoder_layers_0"
    tensors = tiny.lora(8, 8, 2, 1, f"{layer}_self_attn_k_proj")
    tensors |= {f"{layer}_self_attn_v_proj.diff_b": torch.arange(8.0)}
    tensors |= tiny.lora(16, 8, 2, 2, f"{layer}_mlp_fc1")
    tensors = {name: value.half().float() for name, value in tensors.items()}
    file = tiny.write(tmp_path / "a.safetensors", tensors)
    merge(str(tmp_path / "base.safetensors"), [file], tmp_path / "out.safetensors", [2.0])
    numbers = {name: value.double().numpy() for name, value in tensors.items()}
    wanted = {k: v.astype("d") for k, v in base.items()}
    for name, place in ((f"{layer}_self_attn_k_proj", wanted[f"{key}.attn.in_proj_weight"][8:16]),
                        (f"{layer}_mlp_fc1", wanted[f"{key}.mlp.c_fc.weight"])):  # fmt: skip
        place += 2 * 0.5 * numbers[f"{name}.lora_up.weight"] @ numbers[f"{name}.lora_down.weight"]
    wanted[f"{key}.attn.in_proj_bias"][16:] += 2 * np.arange(8)
    made = open_model(tmp_path / "out.safetensors")
    for third, part in enumerate("qkv"):
        path = f"text_model.encoder.layers.0.self_attn.{part}_proj"
        assert made.shape("text_encoder_2", path) == (8, 8)
        rows = wanted[f"{key}.attn.in_proj_weight"][8 * third : 8 * third + 8]
        np.testing.assert_allclose(made.read("text_encoder_2", path), rows, rtol=1e-6, atol=1e-6)
    for k, value in load_file(tmp_path / "out.safetensors").items():
        np.testing.assert_allclose(value.numpy(), wanted[k], rtol=1e-6, atol=1e-6)


def test_sums_are_rounded_once(tmp_path: Path) -> None:
    """Half precision: base + both changes in float64, rounded to the nearest."""
    unet, text = tiny.models()
    base = tiny.folder(tmp_path / "base", (unet.half(), text.half()))
    name, key = "lora_unet_time_embedding_linear_1", "time_embedding.linear_1.weight"
    shape = unet.state_dict()[key].shape
    made = [{k: v.half().float() for k, v in tiny.lora(*shape, 3, seed, name).items()}
            for seed in (1, 2)]  # fmt: skip
    paths = [tiny.write(tmp_path / f"{n}.safetensors", one) for n, one in enumerate(made)]
    merge(str(base), paths, tmp_path / "out", [0.5, 0.25])
    wanted = unet.state_dict()[key].double().numpy()
    for one, strength in zip(made, (0.5, 0.25), strict=True):
        up, down = one[f"{name}.lora_up.weight"], one[f"{name}.lora_down.weight"]
        wanted = wanted + strength * 0.5 * (up.double() @ down.double()).numpy()
    got = load_file(tmp_path / "out/unet/diffusion_pytorch_model.safetensors")[key].numpy()
    assert (got == wanted.astype(np.float16)).mean() > 0.99  # fp32 sums may sit on a tie


def test_strength_0_and_what_no_adapter_names_stay_bit_by_bit(
    tmp_path: Path, adapters: list[Path]
) -> None:
    base = tiny.single_file(tmp_path / "base.safetensors", tiny.models(), torch.float16)
    merge(str(base), adapters, tmp_path / "out.safetensors", [0.0])
    one, two = load_file(base), load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_part_of_a_file_is_status_1_and_none_of_it_an_error(tmp_path: Path) -> None:
    base = tiny.folder(tmp_path / "base", tiny.models())
    known = tiny.lora(16, 4 * 9, 2, 1, "lora_unet_conv_in")
    known["lora_unet_conv_in.lora_down.weight"] = torch.ones(2, 4, 3, 3)
    stranger = tiny.lora(16, 16, 2, 1, "lora_transformer_single_transformer_blocks_0_proj_mlp")
    some = tiny.write(tmp_path / "some.safetensors", known | stranger)
    found = merge(str(base), [some], tmp_path / "out")
    assert found["status"] == 1 and "1 not in the model: lora_transformer" in found["warnings"][0]
    none = tiny.write(tmp_path / "none.safetensors", stranger)
    with pytest.raises(AdapterMismatch, match="none.safetensors matches no layer"):
        merge(str(base), [none], tmp_path / "out2")
    wrong = tiny.write(tmp_path / "wrong.safetensors", tiny.lora(7, 5, 2, 1, "lora_unet_conv_in"))
    with pytest.raises(AdapterMismatch, match="lora_unet_conv_in.*does not fit"):
        merge(str(base), [wrong], tmp_path / "out2")
    assert not list(tmp_path.glob("*out2*"))
