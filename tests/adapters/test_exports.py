"""Other layouts' names, and anything as plain LoRA: exact where it can be, the error told else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms import factors
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file, write
from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.adapters.presets.layers import directory, models
from tests.support.pipelines import pipeline, predict, sd
from tests.support.toys import LAYERS, randomise, toy

LAYER = "lora_unet_down_blocks_0_layer"
EXACT = [  # and the rank of each form on 20 outputs and 12 inputs
    ("lora", {"dim": 3, "alpha": 2}, 3),
    ("lora", {"dim": 3, "alpha": 2, "rs_lora": True, "use_scalar": True}, 3),
    ("lora", {"dim": 3, "alpha": 2, "use_tucker": True}, 3),
    ("loha", {"dim": 2, "alpha": 3}, 4),
    ("loha", {"dim": 2, "alpha": 3, "use_tucker": True}, 4),
    ("lokr", {"dim": 1, "alpha": 2, "factor": 2}, 2),
    ("lokr", {"dim": 1, "alpha": 2, "factor": 4, "decompose_both": True}, 1),
    ("lokr", {"dim": 1, "alpha": 2, "factor": 4, "use_tucker": True}, None),
    ("lokr", {"factor": 4}, None), ("full", {}, None),
]  # fmt: skip
OF_WEIGHT = [
    ("lora", {"dora_wd": True}), ("loha", {"dora_wd": True, "wd_on_output": True}),
    ("glora", {"dim": 2}), ("ia3", {}), ("diag-oft", {"dim": 5}), ("boft", {"dim": 10}),
]  # fmt: skip


def trained(algorithm: str, options: dict, layer: str) -> tuple[nn.Module, dict[str, Tensor]]:
    model, _ = toy(layer)
    network = attach(model, None, "full", algorithm, options, seed=3)
    randomise(network, size=0.3)
    network.detach()
    return model, network.tensors()


def change(tensors: dict[str, Tensor], layer: str) -> Tensor:
    """What merging does to the toy's weight, in float64."""
    before, after = toy(layer)[0], toy(layer)[0]
    Merger(after).merge(tensors)
    return (after.layer.weight.double() - before.layer.weight.double()).detach()


def without_bias(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if not key.endswith("diff_b")}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("algorithm", "options", "rank"), EXACT)
def test_exact_as_plain_lora(algorithm: str, options: dict, rank: int | None, layer: str) -> None:
    model, tensors = trained(algorithm, options, layer)
    weight = model.layer.weight.detach()
    made = write.plain_lora(tensors, directory(models(model)), weight_of=lambda *_: weight)
    assert made.errors == {LAYER: 0.0}
    assert made.left_out == tuple(k for k in tensors if k.endswith("diff_b"))
    assert made.tensors.keys() == {
        f"{LAYER}.{key}" for key in ("lora_up.weight", "lora_down.weight", "alpha")
    }
    wanted = change(without_bias(tensors), layer)
    torch.testing.assert_close(change(made.tensors, layer), wanted, rtol=1e-4, atol=1e-5)
    matrix = wanted.flatten(1).numpy()
    found = len(made.tensors[f"{LAYER}.lora_down.weight"])
    assert found == (rank or np.linalg.matrix_rank(matrix, tol=1e-4 * np.abs(matrix).max()))
    kernel = tuple(model.layer.weight.shape[2:])
    assert tuple(made.tensors[f"{LAYER}.lora_down.weight"].shape[2:]) == kernel


@pytest.mark.parametrize("rank", [1, 4, 11])
@pytest.mark.parametrize("algorithm", ["lokr", "full", "loha"])
def test_truncation_is_that_of_the_singular_values(algorithm: str, rank: int) -> None:
    """|lost| / |ΔW| against numpy's SVD in float64, and no rank-r matrix is nearer."""
    options = {"lokr": {"factor": 4}, "loha": {"dim": 4}, "full": {}}[algorithm]
    model, tensors = trained(algorithm, options, "linear")
    made = write.plain_lora(tensors, directory(models(model)), rank=rank)
    wanted = change(without_bias(tensors), "linear").numpy()
    values = np.linalg.svd(wanted, compute_uv=False)
    tail = np.sqrt(np.square(values[rank:]).sum() / np.square(values).sum())
    assert made.errors[LAYER] == pytest.approx(tail, rel=1e-3, abs=1e-6)
    lost = change(made.tensors, "linear").numpy() - wanted
    assert np.linalg.norm(lost) / np.linalg.norm(wanted) == pytest.approx(tail, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("layer", ["linear", "conv3x3"])
@pytest.mark.parametrize(("algorithm", "options"), OF_WEIGHT)
def test_what_depends_on_the_weight_needs_it(algorithm: str, options: dict, layer: str) -> None:
    model, tensors = trained(algorithm, options, layer)
    where = directory(models(model))
    with pytest.raises(AdapterFileError, match="depends on the base model's weights: give the"):
        write.plain_lora(tensors, where)
    made = write.plain_lora(
        tensors, where, weight_of=lambda _, path: model.get_submodule(path).weight.detach()
    )
    assert made.errors == {LAYER: 0.0}
    torch.testing.assert_close(
        change(made.tensors, layer), change(tensors, layer), rtol=1e-4, atol=1e-4
    )


def test_products_by_hand() -> None:
    """(1 2; 3 4) ⊗ (0 1): rank 2 · 1; a Hadamard product of two products of rank 1."""
    up, down, _ = factors.kronecker(torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[0.0, 1]]))
    torch.testing.assert_close(up @ down, torch.tensor([[0.0, 1, 0, 2], [0, 3, 0, 4]]).double())
    assert up.shape == (2, 2)
    one, two = torch.tensor([[1.0], [2]]), torch.tensor([[3.0, 4]])
    up, down, _ = factors.khatri_rao(one, two, one, two)
    assert (up @ down).tolist() == [[9, 16], [36, 64]] and up.shape == (2, 1)
    assert factors.truncated(torch.zeros(3, 2)).error == 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("algorithm", "options"), [
    ("lokr", {"factor": 4}), ("loha", {"dim": 2}), ("boft", {"dim": 8}),
    ("lora", {"dim": 2, "dora_wd": True, "use_tucker": True}),
])  # fmt: skip
def test_portable_files_load_in_diffusers(algorithm: str, options: dict, tmp_path: Path) -> None:
    """The whole full preset: text encoder, convolutions; norms are named."""
    pytest.importorskip("peft")
    made = sd()
    base = predict(made)
    network = attach(made[0], made[1:], "full", algorithm, options, seed=1)
    randomise(network, size=0.05)
    network.detach()
    tensors = network.tensors()
    found = models(made[0], made[1:])
    new = write.plain_lora(
        tensors, directory(found),
        weight_of=lambda model, path: found[model].get_submodule(path).weight.detach(),
    )  # fmt: skip
    norms = {key.partition(".")[0] for key in tensors if key.endswith("w_norm")}
    assert {name.partition(":")[0] for name in new.left_out} == norms and norms
    path = tmp_path / "portable.safetensors"
    save_file(new.tensors, path)  # in full precision: factors of full rank lose more by rounding
    Merger(made[0], made[1:]).merge(
        {key: v for key, v in tensors.items() if key.partition(".")[0] not in norms}
    )
    wanted = predict(made)
    other = sd()
    pipeline(other).load_lora_weights(str(path))
    assert (wanted - base).abs().max() > 0.02
    torch.testing.assert_close(predict(other), wanted, rtol=0, atol=2e-4)


def test_plain_lora_of_one_alpha_stays_bit_by_bit() -> None:
    _, tensors = trained("lora", {"dim": 3, "alpha": 2}, "linear")
    made = write.plain_lora(tensors)
    assert made.tensors.keys() == tensors.keys()
    assert all(made.tensors[key] is value for key, value in tensors.items())
    other = {key.replace("layer", "other"): value for key, value in tensors.items()}
    other[f"{LAYER.replace('layer', 'other')}.alpha"] = torch.tensor(1.0)
    both = write.plain_lora({**tensors, **other}).tensors
    assert {float(value) for key, value in both.items() if key.endswith("alpha")} == {1.0}
    again = {key: value for key, value in both.items() if key.startswith(f"{LAYER}.")}
    torch.testing.assert_close(change(again, "linear"), change(tensors, "linear"))


def test_without_a_model_the_names_stay() -> None:
    _, tensors = trained("lokr", {"factor": 4}, "linear")
    made = write.plain_lora(tensors)
    torch.testing.assert_close(
        change(made.tensors, "linear"), change(tensors, "linear"), rtol=1e-4, atol=1e-5
    )


PLACES = Directory(
    {"unet": ["conv_in", "mid_block.resnets.0.conv1", "conv_norm_out"],
     "text_encoder": ["encoder.layers.0.mlp.fc1"], "text_encoder_2": ["encoder.layers.0.mlp.fc1"]}
)  # fmt: skip
PLAIN = {"lora_up.weight": torch.ones(4, 2), "lora_down.weight": torch.ones(2, 3)}


@pytest.mark.parametrize(("layout", "names"), [
    ("kohya", ("lora_unet_conv_in", "lora_te2_text_model_encoder_layers_0_mlp_fc1")),
    ("compvis", ("lora_unet_input_blocks_0_0", "lora_te2_text_model_encoder_layers_0_mlp_fc1")),
    ("comfyui", ("diffusion_model.input_blocks.0.0",
                 "text_encoders.clip_g.transformer.text_model.encoder.layers.0.mlp.fc1")),
    ("diffusers", ("unet.conv_in", "text_encoder_2.text_model.encoder.layers.0.mlp.fc1")),
])  # fmt: skip
def test_names_in_each_layout(layout: str, names: tuple[str, str]) -> None:
    given = ("unet.conv_in", "text_encoder_2.encoder.layers.0.mlp.fc1")
    tensors = {f"{name}.{key}": value for name in given for key, value in PLAIN.items()}
    ending = "lora_A.weight" if layout == "diffusers" else "lora_down.weight"
    found = write.renamed(tensors, layout, PLACES)
    assert {key.removesuffix(f".{ending}") for key in found if key.endswith(ending)} == set(names)
    assert adapter_file.by_layer(found).keys() == {name.replace(".", "_") for name in names}


def test_diffusers_has_no_alpha_so_the_ratio_is_folded() -> None:
    tensors = {f"lora_unet_conv_in.{key}": value for key, value in PLAIN.items()}
    found = write.renamed({**tensors, "lora_unet_conv_in.alpha": torch.tensor(3.0)}, "diffusers",
                            PLACES)  # fmt: skip
    product = found["unet.conv_in.lora_B.weight"] @ found["unet.conv_in.lora_A.weight"]
    assert product.tolist() == [[3.0, 3, 3]] * 4  # 3/2 · 2


@pytest.mark.parametrize(("layout", "tensors", "reason"), [
    ("diffusers", {"lokr_w1": torch.ones(2, 1), "lokr_w2": torch.ones(2, 3)},
     "diffusers reads plain LoRA alone, and lora_unet_conv_in is LoKr: convert to portable"),
    ("diffusers", {**PLAIN, "dora_scale": torch.ones(1, 3)}, "is LoRA with dora_scale"),
    ("diffusers", {**PLAIN, "lora_mid.weight": torch.ones(2, 2)}, "is LoRA with lora_mid.weight"),
    ("diffusers", {"diff": torch.ones(4, 3)}, "is Full"),
    ("diffusers", {"w_norm": torch.ones(4)}, "is NormShift"),
    ("comfyui", {"weight": torch.ones(4), "on_input": torch.tensor(0)}, r"leaves \(IA\)³ out"),
    ("comfyui", {**PLAIN, "dora_scale": torch.ones(4, 1)}, "computes a DoRA of outputs otherwise"),
    ("comfyui", {"oft_blocks": torch.ones(2, 2, 2), "alpha": torch.tensor(0.1)},
     "computes a constrained rotation otherwise"),
    ("comfyui", {"oft_blocks": torch.ones(2, 2, 2), "rescale": torch.ones(4, 1)}, "rescaled"),
    ("comfyui", {"oft_in.weight": torch.ones(2, 2, 2)}, "knows no rotation of inputs"),
])  # fmt: skip
def test_what_a_layout_cannot_say(layout: str, tensors: dict, reason: str) -> None:
    named = {f"lora_unet_conv_in.{key}": value for key, value in tensors.items()}
    with pytest.raises(AdapterFileError, match=reason):
        write.renamed(named, layout, PLACES)


def test_layers_that_the_model_lacks_or_that_come_twice() -> None:
    with pytest.raises(AdapterFileError, match="lora_unet_conv_inn is no layer of the model"):
        write.renamed({"lora_unet_conv_inn.diff": torch.ones(1)}, "kohya", PLACES)
    twice = {f"{name}.diff": torch.ones(1) for name in ("lora_unet_conv_in", "unet_conv_in")}
    with pytest.raises(AdapterFileError, match="would be written twice: unet_conv_in"):
        write.renamed(twice, "kohya", PLACES)
