"""Files of two families are not combined; a result says its family, and no hash that is stale."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.extract import extract
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.adapters.matching import AdapterMismatch
from tests.support import tiny_files as tiny

ATTENTION = "lora_unet_{}_attentions_{}_transformer_blocks_{}_attn{}_to_k"
FAMILIES = {  # a layer that tells the family, and its inputs
    "Stable Diffusion 1": (ATTENTION.format("down_blocks_0", 0, 0, 2), 768),
    "Stable Diffusion 2": (ATTENTION.format("down_blocks_0", 0, 0, 2), 1024),
    "Stable Diffusion XL": (ATTENTION.format("down_blocks_1", 0, 1, 2), 2048),
    "Stable Diffusion 3": ("lora_transformer_transformer_blocks_0_attn_add_k_proj", 1536),
    "Flux": ("lora_transformer_single_transformer_blocks_0_attn_to_k", 3072),
}
UNTOLD = (ATTENTION.format("down_blocks_0", 0, 0, 1), 320)  # a U-Net's, of any family
STALE = {"sshs_legacy_hash": "deadbeef", "sshs_model_hash": "0" * 64,
         "modelspec.hash_sha256": f"0x{'1' * 64}"}  # fmt: skip
XL = {"ss_base_model_version": "sdxl_base_v1-0", "ss_v2": "False",
      "modelspec.architecture": "stable-diffusion-xl-v1-base/lora", "ss_network_dim": "4",
      "ss_network_args": "{}", **STALE}  # fmt: skip


def file(path: Path, layer: tuple[str, int], seed: int = 1, **metadata: str) -> Path:
    tensors = tiny.lora(64, layer[1], 4, seed, layer[0])
    save_file(tensors, path, {k.replace("__", "."): v for k, v in metadata.items()} or None)
    return path


def about(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as opened:
        return opened.metadata() or {}


def webui(metadata: dict[str, str]) -> str:
    """A1111's rule (network.py): files of another version are hidden."""
    if str(metadata.get("ss_base_model_version", "")).startswith("sdxl_"):
        return "SDXL"
    if metadata.get("ss_v2") == "True":
        return "SD2"
    return "SD1" if metadata else "Unknown"


@pytest.mark.parametrize("one", FAMILIES)
@pytest.mark.parametrize("two", FAMILIES)
def test_families_do_not_mix(tmp_path: Path, one: str, two: str) -> None:
    paths = [file(tmp_path / "a", FAMILIES[one]), file(tmp_path / "b", FAMILIES[two], 2)]
    if one == two:
        combine(paths, tmp_path / "out")
        return
    with pytest.raises(AdapterMismatch, match=f"a is for {one} and .*b for {two}: files of two"):
        combine(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_of_their_makers_tell_flux_and_sd_3(tmp_path: Path) -> None:
    """Both are transformers, told by names or by the width of what is several layers in one."""
    qkv = {"Flux": ("lora_unet_double_blocks_0_img_attn_qkv", 3072),
           "Stable Diffusion 3": ("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536)}  # fmt: skip
    for one, (name, width) in qkv.items():
        save_file(tiny.lora(3 * width, width, 2, 1, name), tmp_path / one)
    with pytest.raises(AdapterMismatch, match="for Flux and .* for Stable Diffusion 3: files of"):
        combine([tmp_path / one for one in qkv], tmp_path / "out")


@pytest.mark.parametrize(("metadata", "family"), [
    ({"ss_base_model_version": "sd_v1"}, "Stable Diffusion 1"),
    ({"ss_base_model_version": "sd_v2", "ss_v2": "True"}, "Stable Diffusion 2"),
    ({"ss_v2": "True"}, "Stable Diffusion 2"),
    ({"ss_base_model_version": "sdxl_v1"}, "Stable Diffusion XL"),
    ({"modelspec__architecture": "stable-diffusion-xl-v1-base/lora"}, "Stable Diffusion XL"),
    ({"modelspec__architecture": "flux-1-dev/lora"}, "Flux"),
])  # fmt: skip
def test_metadata_tell_where_shapes_do_not(
    tmp_path: Path, metadata: dict[str, str], family: str
) -> None:
    one = file(tmp_path / "a", UNTOLD, **metadata)
    for other in FAMILIES:
        two = file(tmp_path / "b", FAMILIES[other])
        if other == family != "Flux":
            combine([one, two], tmp_path / "out", force=True)
            continue
        with pytest.raises(AdapterMismatch, match="files of two families are not combined"):
            combine([one, two], tmp_path / "no")


@pytest.mark.parametrize(("one", "two", "said"), [
    (UNTOLD[0], FAMILIES["Flux"][0], "a U-Net .* for a transformer as Flux and SD 3"),
    (UNTOLD[0], "lora_unet_double_blocks_0_img_attn_proj", "a U-Net"),
    ("diffusion_model.layers.0.attention.to_q", "diffusion_model.input_blocks.1.0.emb_layers.1",
     "a transformer of 'layers' .* for a U-Net"),
    ("diffusion_model.blocks.0.self_attn.q", "diffusion_model.layers.0.attention.to_q", "'blocks'"),
    ("transformer.transformer_blocks.0.attn.to_q", "transformer.layers.0.attention.to_q",
     "as Flux and SD 3"),
])  # fmt: skip
def test_models_of_two_builds(tmp_path: Path, one: str, two: str, said: str) -> None:
    paths = [file(tmp_path / "a", (one, 320)), file(tmp_path / "b", (two, 320))]
    with pytest.raises(AdapterMismatch, match=f"a is for .*{said}|a is for {said}"):
        combine(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parts_of_one_model_are_combined(tmp_path: Path) -> None:
    """Blocks that only one file has, and text encoders beside any denoiser."""
    names = ("lora_unet_mid_block_resnets_0_time_emb_proj", "lora_unet_down_blocks_0_x",
             "lora_te_text_model_encoder_layers_0_mlp_fc1", "lora_unet_conv_in")  # fmt: skip
    paths = [file(tmp_path / str(n), (name, 16)) for n, name in enumerate(names)]
    assert combine(paths, tmp_path / "out")["layers"].keys() == set(names)


COMMANDS = {
    "resize": lambda a, out: resize(a, out, rank=2),
    "combine": lambda a, out: combine([a], out, [0.5]),
    "kohya": lambda a, out: convert(a, out, "kohya"),
    "portable": lambda a, out: convert(a, out, "portable"),
    "full": lambda a, out: convert(a, out, "full"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("said", [True, False])
def test_results_stay_in_their_family(tmp_path: Path, command: str, said: bool) -> None:
    """Also where the source has no metadata: any without a version would mean SD 1 to webui."""
    source = file(tmp_path / "a", FAMILIES["Stable Diffusion XL"])
    save_file(load_file(source), source, XL if said else None)
    COMMANDS[command](source, tmp_path / "out")
    found = about(tmp_path / "out")
    assert webui(found) == "SDXL"
    assert not {"sshs_legacy_hash", "modelspec.hash_sha256"} & found.keys()
    content = (tmp_path / "out").read_bytes()
    numbers = content[8 + int.from_bytes(content[:8], "little") :]
    assert found["sshs_model_hash"] == f"0x{hashlib.sha256(numbers).hexdigest()}"
    if said:
        assert found["modelspec.architecture"] == XL["modelspec.architecture"]
        assert ("ss_network_args" in found) == (command == "kohya")  # combine's alpha is the rank


def test_what_says_nothing_stays_silent(tmp_path: Path) -> None:
    """No metadata and no family that shapes tell: none is invented."""
    source = file(tmp_path / "a", UNTOLD)
    for name, command in COMMANDS.items():
        command(source, tmp_path / name)
        assert webui(about(tmp_path / name)) == "Unknown"


def test_two_files_keep_what_both_say(tmp_path: Path) -> None:
    layer = FAMILIES["Stable Diffusion XL"]
    one, two = file(tmp_path / "a", layer), file(tmp_path / "b", layer, 2)
    save_file(load_file(one), one, {**XL, "ss_output_name": "a", "ss_sd_model_name": "base"})
    save_file(load_file(two), two, {"ss_output_name": "b", "ss_sd_model_name": "base"})
    combine([one, two], tmp_path / "out")
    found = about(tmp_path / "out")
    assert webui(found) == "SDXL" and found["ss_sd_model_name"] == "base"
    assert not {"ss_output_name", "ss_network_dim", "ss_network_args"} & found.keys()


def test_a_merged_model_has_no_stale_hash(tmp_path: Path) -> None:
    pair = tiny.models()
    base = tiny.single_file(tmp_path / "base.safetensors", pair)
    save_file(load_file(base), base, {"modelspec.architecture": "stable-diffusion-v1", **STALE})
    adapter = tiny.adapter(tmp_path / "a", pair, "lora", "attn-only", dim=2)
    merge(str(base), [adapter], tmp_path / "out.safetensors")
    assert about(tmp_path / "out.safetensors") == {"modelspec.architecture": "stable-diffusion-v1"}


def test_an_extracted_file_says_the_family_of_its_model(tmp_path: Path) -> None:
    key = "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.weight"
    for name, value in (("base", torch.zeros(64, 2048)), ("tuned", torch.ones(64, 2048))):
        (tmp_path / name / "unet").mkdir(parents=True)
        save_file({key: value}, tmp_path / name / "unet" / "a.safetensors")
    extract(str(tmp_path / "base"), str(tmp_path / "tuned"), tmp_path / "out", rank=1)
    assert webui(about(tmp_path / "out")) == "SDXL"
