"""A result names its layers as its source does, so that the programs of the source read it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapter_tools import result
from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.errors import BenchError
from tests.support import tiny_files as tiny

PATH = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"  # (32, 32)
KOHYA = f"lora_unet_{PATH.replace('.', '_')}"
UPDOWN = ("lora_up.weight", "lora_down.weight", "alpha")
SIDES = ("lora_A.weight", "lora_B.weight")
SPELLED = {  # layer -> what its LoRA's tensors are called
    KOHYA: UPDOWN,
    "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q": UPDOWN,
    "lora_transformer_single_transformer_blocks_0_attn_to_q": UPDOWN,
    "lycoris_mid_block_attentions_0_proj_in": UPDOWN,
    "lora_unet_double_blocks_0_img_attn_qkv": UPDOWN,  # Flux's q, k and v in one
    "lora_unet_single_blocks_0_linear2": UPDOWN,
    "lora_unet_joint_blocks_0_x_block_attn_qkv": UPDOWN,
    f"unet.{PATH}": SIDES,
    "text_encoder.text_model.encoder.layers.0.mlp.fc1": SIDES,
    "transformer.single_transformer_blocks.0.attn.to_q": SIDES,
    f"base_model.model.{PATH}": SIDES,
    "diffusion_model.layers.0.attention.to_q": SIDES,  # Z-Image
    "diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q": UPDOWN,
}


def file(path: Path, layer: str, seed: int = 1, rank: int = 4) -> Path:
    """A LoRA of 32 x 32, alpha half the rank where the layout has one."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {"down": torch.randn(rank, 32, generator=draw),
               "up": torch.randn(32, rank, generator=draw)}  # fmt: skip
    names = SPELLED.get(layer, UPDOWN)
    if names == SIDES:
        found = {f"{layer}.{SIDES[0]}": tensors["down"], f"{layer}.{SIDES[1]}": tensors["up"]}
    else:
        found = {f"{layer}.lora_{key}.weight": value for key, value in tensors.items()}
        found[f"{layer}.alpha"] = torch.tensor(rank / 2)
    save_file(found, path)
    return path


def product(path: Path) -> Tensor:
    """ΔW of the only layer in float64, by the numbers of the file."""
    found = {key.rpartition(".lora_")[2]: value for key, value in load_file(path).items()}
    up, down = (found.get(k, found.get(s)).double() for k, s in
                (("up.weight", "B.weight"), ("down.weight", "A.weight")))  # fmt: skip
    alpha = next((float(v) for k, v in found.items() if k.endswith("alpha")), float(len(down)))
    return alpha / len(down) * up @ down


@pytest.mark.parametrize("how", ["resize", "combine", "portable"])
@pytest.mark.parametrize("layer", SPELLED)
def test_the_names_stay(tmp_path: Path, layer: str, how: str) -> None:
    source = file(tmp_path / "a", layer)
    wanted = product(source)
    if how == "resize":
        resize(source, tmp_path / "out", rank=4)
    elif how == "combine":
        combine([source, file(tmp_path / "b", layer, 2)], tmp_path / "out", [1.0, 0.5])
        wanted = wanted + 0.5 * product(tmp_path / "b")
    else:
        convert(source, tmp_path / "out", "portable")
    assert load_file(tmp_path / "out").keys() == {f"{layer}.{name}" for name in SPELLED[layer]}
    assert adapter_file.layout_of(tmp_path / "out") == adapter_file.layout_of(source)
    assert float((product(tmp_path / "out") - wanted).norm() / wanted.norm()) < 2e-7


@pytest.mark.parametrize("layer", SPELLED)
def test_full_keeps_names_where_a_reader_has_them(tmp_path: Path, layer: str) -> None:
    source = file(tmp_path / "a", layer)
    if layer.startswith(("unet.", "transformer.", "text_encoder.", "base_model.")):
        with pytest.raises(NeedsModel, match="cannot say Full: give --model, and the result has"):
            convert(source, tmp_path / "out", "full")
        assert not (tmp_path / "out").exists()
        return
    convert(source, tmp_path / "out", "full")
    found = load_file(tmp_path / "out")
    assert found.keys() == {f"{layer}.diff"}
    torch.testing.assert_close(found[f"{layer}.diff"].double(), product(source))


def test_with_a_model_what_names_cannot_say_has_kohyas(tmp_path: Path) -> None:
    base = str(tiny.folder(tmp_path / "base", tiny.models()))
    source = file(tmp_path / "a", f"unet.{PATH}")
    convert(source, tmp_path / "out", "full", base)
    assert load_file(tmp_path / "out").keys() == {f"{KOHYA}.diff"}
    resize(source, tmp_path / "small", rank=2, model=base)
    assert load_file(tmp_path / "small").keys() == {f"unet.{PATH}.{name}" for name in SIDES}


def test_diffusers_reads_a_smaller_file_of_its_own(tmp_path: Path) -> None:
    """The peer: what diffusers fuses is the singular values' own approximation."""
    unet, _ = tiny.models()
    resize(file(tmp_path / "a", f"unet.{PATH}"), tmp_path / "out.safetensors", rank=2)
    before = unet.state_dict()[f"{PATH}.weight"].double()
    unet.load_lora_adapter(load_file(tmp_path / "out.safetensors"), prefix="unet")
    unet.fuse_lora()
    moved = unet.get_submodule(PATH).base_layer.weight.double() - before
    u, s, v = torch.linalg.svd(product(tmp_path / "a"))
    wanted = (u[:, :2] * s[:2]) @ v[:2]
    assert float((moved - wanted).norm() / wanted.norm()) < 1e-3


@pytest.mark.parametrize(("one", "two", "said"), [
    (KOHYA, f"unet.{PATH}", "lora_unet_ and unet_"),
    (KOHYA, f"base_model.model.{PATH}", "base_model_model_ and lora_unet_"),
    (KOHYA, "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q", "CompVis and diffusers"),
    ("lora_unet_double_blocks_0_img_attn_proj", "lora_unet_transformer_blocks_0_attn_to_q",
     "Black Forest Labs or Stability and diffusers"),
    (f"unet.{PATH}", "unet.middle_block.1.proj_in", "CompVis and diffusers"),
    (KOHYA, f"lycoris_{PATH.replace('.', '_')}", "lora_unet_ and lycoris_"),
    ("lora_te_text_model_encoder_layers_0_mlp_fc1", "lora_te1_text_model_encoder_layers_0_mlp_fc1",
     "lora_teN_ and lora_te_"),
    (f"unet.{PATH}", PATH, "no prefix and unet_"),
])  # fmt: skip
def test_two_ways_of_naming_need_the_model(tmp_path: Path, one: str, two: str, said: str) -> None:
    paths = [file(tmp_path / "a", one), file(tmp_path / "b", two, 2)]
    with pytest.raises(NeedsModel, match=rf"in two ways \({said}\): give --model, so that they"):
        combine(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("other", [f"unet.{PATH}", f"base_model.model.{PATH}",
    f"diffusion_model.{PATH}", "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q",
    f"lycoris_unet_{PATH.replace('.', '_')}"])  # fmt: skip
def test_with_it_they_are_one_layer(tmp_path: Path, other: str) -> None:
    base = str(tiny.folder(tmp_path / "base", tiny.models()))
    paths = [file(tmp_path / "a", KOHYA), file(tmp_path / "b", other, 2)]
    found = combine(paths, tmp_path / "out", [1.0, -2.0], model=base)
    assert found["layers"].keys() == {KOHYA}
    wanted = product(paths[0]) - 2 * product(paths[1])
    assert float((product(tmp_path / "out") - wanted).norm() / wanted.norm()) < 2e-7


def test_a_folder_of_peft_asks_for_the_model(tmp_path: Path) -> None:
    """Its configuration says the ratio, and a file of its names would have none."""
    folder = tmp_path / "peft"
    folder.mkdir()
    file(folder / "adapter_model.safetensors", f"base_model.model.{PATH}")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 2, "target_modules": ["to_q"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(NeedsModel, match="without its folder's configuration: give --model"):
        resize(folder, tmp_path / "out", rank=2)
    base = str(tiny.folder(tmp_path / "base", tiny.models()))
    resize(folder, tmp_path / "out", rank=4, model=base)
    wanted = product(folder / "adapter_model.safetensors") / 2
    assert load_file(tmp_path / "out").keys() == {f"{KOHYA}.{name}" for name in UPDOWN}
    assert float((product(tmp_path / "out") - wanted).norm() / wanted.norm()) < 2e-7


def test_rotations_of_sd_scripts_become_loras_that_readers_find(tmp_path: Path) -> None:
    """`oft_unet_` names hold rotations alone."""
    base = str(tiny.folder(tmp_path / "base", tiny.models()))
    blocks = 0.1 * torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    save_file({f"{KOHYA.replace('lora', 'oft', 1)}.oft_blocks": blocks}, tmp_path / "a")
    resize(tmp_path / "a", tmp_path / "out", rank=32, model=base)
    assert load_file(tmp_path / "out").keys() == {f"{KOHYA}.{name}" for name in UPDOWN}


def test_one_layer_under_two_names_is_no_result(tmp_path: Path) -> None:
    one, two = (
        load_file(file(tmp_path / "a", KOHYA)),
        load_file(file(tmp_path / "b", f"unet.{PATH}")),
    )
    save_file({**one, **two}, tmp_path / "both")
    with pytest.raises((AdapterFileError, BenchError), match="under two names"):
        resize(tmp_path / "both", tmp_path / "out", rank=2)
    assert not (tmp_path / "out").exists()


def test_what_is_read_back_otherwise_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the writer itself is found before the file has its name."""
    source = file(tmp_path / "a", KOHYA)
    read = adapter_file.read

    def wrong(change: Callable[[str, Tensor], tuple[str, Tensor]]) -> None:
        monkeypatch.setattr(result, "read", lambda path, divide: (
            dict(change(*item) for item in read(path)[0].items()), {}))  # fmt: skip

    wrong(lambda key, value: (f"x{key}", value))
    with pytest.raises(RuntimeError, match="are not those that are read back"):
        resize(source, tmp_path / "out", rank=2)
    wrong(lambda key, value: (key, value + 1))
    with pytest.raises(RuntimeError, match="read back with other numbers"):
        convert(source, tmp_path / "out", "kohya")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
