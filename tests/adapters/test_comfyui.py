"""What ComfyUI would leave out or compute otherwise is said in another form, or refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms import rotations
from lycoris_bench.adapters.formats import comfyui, write
from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError

KERNEL = "lora_unet_mid_block_resnets_0_conv1"
PLACES = Directory({
    "unet": ["mid_block.resnets.0.conv1"],
    "transformer": ["transformer_blocks.0.attn.add_q_proj", "transformer_blocks.0.attn.to_q",
                    "transformer_blocks.0.norm1_context.linear",
                    "transformer_blocks.1.norm1_context.linear", "norm_out.linear"],
})  # fmt: skip
FLUX = Directory({
    "transformer": ["transformer_blocks.0.attn.add_q_proj", "transformer_blocks.0.attn.to_q",
                    "transformer_blocks.1.norm1_context.linear",
                    "single_transformer_blocks.0.proj_mlp", "norm_out.linear"],
})  # fmt: skip


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("alpha", [None, 2.0])
def test_tucker_lokr_becomes_two_whole_blocks(decomposed: bool, alpha: float | None) -> None:
    """alpha/rank · w1 ⊗ (t2 between w2_a and w2_b), written out in float64."""
    rank, (u, v), (ui, vi) = 3, (2, 4), (3, 5)
    tensors = {"lokr_t2": draw(rank, rank, 3, 3), "lokr_w2_a": draw(rank, v, seed=2),
               "lokr_w2_b": draw(rank, vi, seed=3)}  # fmt: skip
    w1 = draw(u, rank, seed=4).double() @ draw(rank, ui, seed=5).double()
    tensors |= {"lokr_w1_a": draw(u, rank, seed=4), "lokr_w1_b": draw(rank, ui, seed=5)} \
        if decomposed else {"lokr_w1": w1.float()}  # fmt: skip
    tensors |= {} if alpha is None else {"alpha": torch.tensor(alpha)}
    one = w1 if decomposed else w1.float().double()
    two = torch.einsum("rskl,ro,si->oikl", *(tensors[k].double() for k in
                                             ("lokr_t2", "lokr_w2_a", "lokr_w2_b")))  # fmt: skip
    wanted = (1 if alpha is None else alpha / rank) * torch.einsum("ac,oikl->aocikl", one, two)
    found = write.renamed({f"{KERNEL}.{k}": t for k, t in tensors.items()}, "comfyui", PLACES)
    names = {key.rpartition(".")[2]: value for key, value in found.items()}
    assert names.keys() == {"lokr_w1", "lokr_w2"}  # no alpha: two whole blocks have no ratio
    made = torch.einsum("ac,oikl->aocikl", names["lokr_w1"], names["lokr_w2"])
    torch.testing.assert_close(made, wanted)
    again = merged_weight(names, torch.zeros(u * v, ui * vi, 3, 3))
    torch.testing.assert_close(again.double(), wanted.reshape(again.shape), rtol=1e-5, atol=1e-5)


def test_other_forms_of_lokr_stay_as_they_are() -> None:
    tensors = {"lokr_w1": draw(2, 3), "lokr_w2_a": draw(4, 1), "lokr_w2_b": draw(1, 5)}
    assert comfyui.readable("x", tensors, "conv_in") is tensors


ROTATED = {"oft_blocks": 0.1 * torch.ones(2, 4, 4)}
STAGED = {"oft_blocks": 0.1 * torch.ones(2, 2, 4, 4)}


@pytest.mark.parametrize(("tensors", "reason"), [
    ({**ROTATED, "alpha": torch.tensor(0.1)}, "computes a constrained rotation"),
    ({**STAGED, "alpha": torch.tensor(0.1)}, "computes a constrained rotation"),
    ({**ROTATED, "rescale": torch.ones(8, 1)}, "computes a rescaled Diag-OFT"),
    ({**STAGED, "rescale": torch.ones(8, 1)}, None), (STAGED, None), (ROTATED, None),
    ({**ROTATED, "alpha": torch.tensor(0.0)}, None),
    ({"oft_diag": torch.eye(4).expand(2, 4, 4)}, "knows no rotation by its own matrix"),
])  # fmt: skip
def test_rotations(tensors: dict[str, Tensor], reason: str | None) -> None:
    if reason is None:
        assert comfyui.readable("x", tensors, "conv_in") is tensors
        return
    with pytest.raises(AdapterFileError, match=f"ComfyUI {reason}.*: convert to portable"):
        comfyui.readable("x", tensors, "conv_in")


BIASED = {"diff": torch.ones(4, 4), "diff_b": torch.ones(4)}
GLORA = {f"{k}.weight": torch.ones(4, 4) for k in ("a1", "a2", "b1", "b2")}


@pytest.mark.parametrize(("path", "tensors", "directory", "reason"), [
    ("transformer_blocks.0.attn.to_q", BIASED, PLACES, "loses the bias of a slice"),
    ("single_transformer_blocks.0.proj_mlp", BIASED, FLUX, "loses the bias of a slice"),
    ("transformer_blocks.0.attn.to_q", {"diff": torch.ones(4, 4)}, PLACES, None),
    ("norm_out.linear", BIASED, PLACES, None),
    ("norm_out.linear", GLORA, PLACES, "computes glora otherwise where a layer's scale and shift"),
    ("norm_out.linear", ROTATED, FLUX, "computes diag-oft otherwise"),
    ("transformer_blocks.1.norm1_context.linear", GLORA, PLACES, "computes glora otherwise"),
    ("transformer_blocks.0.norm1_context.linear", GLORA, PLACES, None),  # not the last of SD 3
    ("transformer_blocks.1.norm1_context.linear", GLORA, FLUX, None),  # and Flux has all alike
])  # fmt: skip
def test_transformers_have_kohyas_names(
    path: str, tensors: dict[str, Tensor], directory: Directory, reason: str | None
) -> None:
    name = f"lora_transformer_{path.replace('.', '_')}"
    given = {f"transformer.{path}.{key}": value for key, value in tensors.items()}
    if reason is None:
        found = write.renamed(given, "comfyui", directory)
        assert found.keys() == {f"{name}.{key}" for key in tensors}
        return
    with pytest.raises(AdapterFileError, match=reason):
        write.renamed(given, "comfyui", directory)


def test_the_converted_file_is_the_same_change_and_warns(tmp_path: Path) -> None:
    from lycoris_bench.adapter_tools.convert import convert

    (tmp_path / "base" / "unet").mkdir(parents=True)
    weight = draw(8, 8, 3, 3)
    save_file({"mid_block.resnets.0.conv1.weight": weight,
               "mid_block.resnets.0.conv1.bias": torch.zeros(8)},
              tmp_path / "base" / "unet" / "a.safetensors")  # fmt: skip
    save_file({f"{KERNEL}.oft_blocks": draw(2, 4, 4)}, tmp_path / "a")
    found = convert(tmp_path / "a", tmp_path / "out", "comfyui", str(tmp_path / "base"))
    assert found["warnings"] == [rotations.CAUTION] and found["status"] == 0
    tucker = {"lokr_w1": draw(2, 2), "lokr_t2": draw(1, 1, 3, 3), "lokr_w2_a": draw(1, 4),
              "lokr_w2_b": draw(1, 4), "alpha": torch.tensor(0.3)}  # fmt: skip
    halves = {f"{KERNEL}.{k}": v.half() for k, v in tucker.items()}
    save_file(halves, tmp_path / "b")
    told = convert(tmp_path / "b", tmp_path / "plain", "comfyui", str(tmp_path / "base"))
    one, two = (
        merged_weight({k.rpartition(".")[2]: v for k, v in load_file(tmp_path / name).items()},
                      torch.zeros(8, 8, 3, 3)).double() for name in ("b", "plain")
    )  # fmt: skip
    error = float((one - two).norm() / one.norm())
    assert error < 5e-4 and told["error"] == pytest.approx(error, rel=1e-3)
    assert not told["warnings"]


def test_other_transformers_have_no_name_there() -> None:
    directory = Directory({"transformer": ["layers.0.attention.to_q"]})
    with pytest.raises(AdapterFileError, match=r"comfyui has no name for transformer.layers.0"):
        write.renamed(
            {"transformer.layers.0.attention.to_q.diff": draw(2, 2)}, "comfyui", directory
        )
