"""What a told error is of, and what a result's metadata says of its network."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.resize import resize
from tests.support import tiny_files as tiny

NAME = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
NORM = "lora_unet_mid_block_resnets_0_norm1"
OTHER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_q"
ABOUT = {
    "ss_base_model_version": "sd_v1", "ss_network_module": "lycoris.kohya", "ss_network_dim": "4",
    "ss_network_alpha": "2.0", "ss_network_args": json.dumps({"algo": "lora", "conv_alpha": 1}),
    "ss_network_dropout": "0.1", "ss_seed": "7",
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.folder(tmp_path_factory.mktemp("model") / "base", tiny.models()))


def about(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def values(tensors: dict[str, Tensor], name: str) -> Tensor:
    up, down = (tensors[f"{name}.lora_{side}.weight"].double() for side in ("up", "down"))
    return torch.linalg.svdvals(up @ down) / 2  # alpha is half of the rank


@pytest.mark.parametrize("names", [("w_norm", "b_norm"), ("diff", "diff_b")])
def test_norms_that_stay_count_as_what_is_changed(tmp_path: Path, names: tuple[str, str]) -> None:
    """3 of rank 4 are kept: the error is the fourth singular value over the length of all."""
    tensors = tiny.lora(32, 32, 4, 1, NAME)
    shift = {f"{NORM}.{key}": torch.full((32,), 3.0 + n) for n, key in enumerate(names)}
    save_file({**tensors, **shift}, tmp_path / "a")
    found = resize(tmp_path / "a", tmp_path / "out", rank=3)
    s = values(tensors, NAME)
    norms = (32 * (3.0**2 + 4.0**2)) ** 0.5
    whole = float((s.square().sum() + norms**2).sqrt())
    assert found["error"] == pytest.approx(float(s[3]) / whole, rel=1e-3)
    row = found["layers"][NORM]
    assert row["error"] == 0 and row["norm"] == pytest.approx(norms)
    assert found["layers"][NAME]["error"] == pytest.approx(float(s[3] / s.norm()), rel=1e-3)
    assert "relative error of all that is changed, norms too: " in found["text"]


def test_what_is_left_out_is_not_in_the_error_and_that_is_said(tmp_path: Path) -> None:
    shift = {f"{NORM}.w_norm": torch.ones(32), f"{NORM}.b_norm": torch.ones(32)}
    save_file({**tiny.lora(32, 32, 4, 1, NAME), **shift}, tmp_path / "a")
    found = convert(tmp_path / "a", tmp_path / "out", "portable", rank=3)
    s = values(tiny.lora(32, 32, 4, 1, NAME), NAME)
    assert found["error"] == pytest.approx(float(s[3] / s.norm()), rel=1e-3)
    assert "relative error of what is written, norms too: " in found["text"]


@pytest.mark.parametrize(("ranks", "alpha"), [((4, 4), "4"), ((4, 2), "Dynamic")])
def test_diffusers_has_no_alpha_and_so_says_the_metadata(
    tmp_path: Path, base: str, ranks: tuple[int, int], alpha: str
) -> None:
    one, two = (tiny.lora(32, 32, rank, 1, name)
                for rank, name in zip(ranks, (NAME, OTHER), strict=True))  # fmt: skip
    save_file({**one, **two}, tmp_path / "a", ABOUT)
    convert(tmp_path / "a", tmp_path / "out", "diffusers", base)
    said = about(tmp_path / "out")
    assert said["ss_network_alpha"] == alpha and said["ss_network_dim"] == "4"
    assert said["ss_network_module"] == "networks.lora" and said["ss_seed"] == "7"
    assert not {"ss_network_args", "ss_network_dropout"} & said.keys()


def test_other_names_keep_what_holds(tmp_path: Path, base: str) -> None:
    save_file(tiny.lora(32, 32, 4, 1, NAME), tmp_path / "a", ABOUT)
    for to, model in (("kohya", None), ("kohya", base), ("comfyui", base)):
        convert(tmp_path / "a", tmp_path / "out", to, model, force=True)
        assert ABOUT.items() <= about(tmp_path / "out").items()
    bare = tmp_path / "bare"
    save_file(tiny.lora(32, 32, 4, 1, NAME), bare)
    convert(bare, tmp_path / "out", "diffusers", base, force=True)
    assert not any(key.startswith("ss_network") for key in about(tmp_path / "out"))


def test_comfyuis_whole_blocks_are_another_network(tmp_path: Path, base: str) -> None:
    """LoKr's Tucker form becomes whole blocks there, without rank or alpha."""
    lokr = {"lokr_w1": torch.ones(4, 4), "lokr_t2": torch.ones(2, 2, 3, 3),
            "lokr_w2_a": torch.ones(2, 8), "lokr_w2_b": torch.ones(2, 8),
            "alpha": torch.tensor(1.0)}  # fmt: skip
    name = "lora_unet_mid_block_resnets_0_conv1"
    save_file({f"{name}.{key}": value for key, value in lokr.items()}, tmp_path / "a", ABOUT)
    convert(tmp_path / "a", tmp_path / "out", "comfyui", base)
    said = about(tmp_path / "out")
    assert not {"ss_network_args", "ss_network_alpha", "ss_network_dim"} & said.keys()


@pytest.mark.parametrize(
    ("weights", "rank", "kept"), [([1.0], None, True), ([1.0], 2, False), ([0.5], None, False)]
)
def test_combining_one_file_keeps_what_holds(
    tmp_path: Path, weights: list[float], rank: int | None, kept: bool
) -> None:
    """A LoRA's weighted sum has an alpha of its rank; one that is cut has another rank."""
    save_file(tiny.lora(32, 32, 4, 1, NAME), tmp_path / "a", ABOUT)
    combine([tmp_path / "a"], tmp_path / "out", weights, rank)
    assert ({"ss_network_args", "ss_network_alpha"} <= about(tmp_path / "out").keys()) == kept
    lokr = {"lokr_w1": torch.ones(4, 4), "lokr_w2": torch.ones(8, 8)}
    save_file({f"{NAME}.{key}": value for key, value in lokr.items()}, tmp_path / "b", ABOUT)
    combine([tmp_path / "b"], tmp_path / "scaled", [0.5])
    assert ABOUT.items() <= about(tmp_path / "scaled").items()
