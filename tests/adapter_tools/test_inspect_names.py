"""What `inspect` makes of a file's names and metadata: its family, and layers that are several."""

from pathlib import Path

import pytest
import torch

from lycoris_bench.adapter_tools.inspect import inspect
from lycoris_bench.adapters.formats import adapter_file
from tests.adapter_tools.test_inspect import HAND
from tests.support import tiny_files as tiny


@pytest.mark.parametrize(("about", "family"), [
    ({"ss_base_model_version": "sd_v1"}, "Stable Diffusion 1"),
    ({"ss_base_model_version": "sd_v2"}, "Stable Diffusion 2"),
    ({"ss_v2": "True"}, "Stable Diffusion 2"),
    ({"ss_base_model_version": "sdxl_base_v1-0"}, "Stable Diffusion XL"),
    ({"ss_base_model_version": "sd3_m"}, "Stable Diffusion 3"),
    ({"ss_base_model_version": "flux1"}, "Flux"), ({"ss_base_model_version": "lumina2"}, "lumina2"),
    ({"modelspec.architecture": "stable-diffusion-v1/lora"}, "Stable Diffusion 1"),
    ({"modelspec.architecture": "stable-diffusion-v2-768-v/lora"}, "Stable Diffusion 2"),
    ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "Stable Diffusion XL"),
    ({"modelspec.architecture": "stable-diffusion-3.5-large/lora"}, "Stable Diffusion 3"),
    ({"modelspec.architecture": "flux-1-dev/lora"}, "Flux"),
    ({"modelspec.architecture": "Flux.1-dev"}, "Flux"),
    ({"modelspec.architecture": "a\x1b[2Jb/lora"}, "a\x1b[2Jb"),
    ({"ss_base_model_version": "", "ss_v2": "False"}, None), ({"ss_v2": "None"}, None),
])  # fmt: skip
def test_the_family_by_metadata(tmp_path: Path, about: dict, family: str | None) -> None:
    found = inspect(tiny.write(tmp_path / "a", HAND, **about))
    assert found["family"] == family and found["family_by"] == (family and "metadata")
    assert ("(by its metadata; its names do not tell)" in found["text"]) == (family is not None)
    assert "\x1b" not in found["text"]
    flux = {key.replace("lora_unet_mid_block_x", QKV): value for key, value in HAND.items()}
    flux[f"{QKV}.lora_up.weight"] = torch.ones(3, 1)
    named = inspect(tiny.write(tmp_path / "b", flux, **about))
    assert (named["family"], named["family_by"]) == ("Flux", "names")


QKV = "lora_unet_double_blocks_0_img_attn_qkv"


@pytest.mark.parametrize(("tensors", "norm"), [
    ({"oft_blocks": torch.ones(6, 4, 4)}, None),
    ({"lora_up.weight": torch.ones(24, 1), "lora_down.weight": torch.ones(1, 8),
      "dora_scale": torch.ones(1, 8)}, None),
    ({"lokr_w1": torch.ones(2, 1), "lokr_w2": torch.ones(12, 8)}, 192**0.5),
    ({"lora_up.weight": torch.ones(24, 1), "lora_down.weight": torch.ones(1, 8)}, 192**0.5),
    ({"diff": torch.ones(24, 8), "diff_b": torch.ones(24)}, 192**0.5),
])  # fmt: skip
@pytest.mark.parametrize(("name", "family"), [
    (QKV, "Flux"), ("lora_unet_joint_blocks_0_x_block_attn_qkv", "Stable Diffusion 3"),
])  # fmt: skip
def test_what_is_several_layers_in_one_is_told_as_it_is(
    tensors: dict, norm: float | None, name: str, family: str, tmp_path: Path
) -> None:
    """24 x 8 ones have the length √192; what cannot be divided has layers of its own, too."""
    file = tiny.write(tmp_path / "a", {f"{name}.{key}": v for key, v in tensors.items()})
    found = inspect(file, layers=True)
    assert [row["layer"] for row in found["layers"]] == [name] and found["family"] == family
    assert found["layers"][0]["norm"] == pytest.approx(norm)
    assert found["tensors"] == len(tensors)


@pytest.mark.parametrize("part", ["double_blocks.0.processor.qkv_lora1", "single_blocks.3.processor"
                                  ".proj_lora"])  # fmt: skip
def test_xlabs_is_refused_by_name(part: str, tmp_path: Path) -> None:
    tensors = {f"{part}.down.weight": torch.ones(2, 8), f"{part}.up.weight": torch.ones(24, 2)}
    for start in ("", "diffusion_model."):
        file = tiny.write(tmp_path / "a", {start + key: value for key, value in tensors.items()})
        with pytest.raises(
            adapter_file.AdapterFileError, match=f"{part}.* is of XLabs's LoRA of Flux"
        ):
            inspect(file)
