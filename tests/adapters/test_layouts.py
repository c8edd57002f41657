"""Any layout's tensors under one name each: by hand, in every dtype, and what it costs."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.layouts import canonical, layout_of
from lycoris_bench.adapters.merge import Merger
from tests.support.forms import FORMS
from tests.support.toys import LAYERS, toy

A, B = torch.arange(6.0).reshape(2, 3), torch.arange(8.0).reshape(4, 2)
PLAIN = {"lora_down.weight": A, "lora_up.weight": B}


@pytest.mark.parametrize(("keys", "layer"), [
    (("unet.a.to_q.lora_A.weight", "unet.a.to_q.lora_B.weight"), "unet_a_to_q"),
    (("unet.a.to_q.lora_A.default.weight", "unet.a.to_q.lora_B.default.weight"), "unet_a_to_q"),
    (("unet.a.to_q.lora.down.weight", "unet.a.to_q.lora.up.weight"), "unet_a_to_q"),
    (("a.attn1.processor.to_k_lora.down.weight", "a.attn1.processor.to_k_lora.up.weight"),
     "a_attn1_to_k"),
    (("a.attn1.processor.to_out_lora.down.weight", "a.attn1.processor.to_out_lora.up.weight"),
     "a_attn1_to_out_0"),
    (("unet.a.attn.processor.add_k_proj_lora.down.weight",
      "unet.a.attn.processor.add_k_proj_lora.up.weight"), "unet_a_attn_add_k_proj"),
    (("text_encoder.x.self_attn.to_out_lora.down.weight",
      "text_encoder.x.self_attn.to_out_lora.up.weight"), "text_encoder_x_self_attn_out_proj"),
    (("text_encoder.x.k_proj.lora_linear_layer.down.weight",
      "text_encoder.x.k_proj.lora_linear_layer.up.weight"), "text_encoder_x_k_proj"),
    (("base_model.model.conv_in.lora_A.weight", "base_model.model.conv_in.lora_B.weight"),
     "base_model_model_conv_in"),
    (("diffusion_model.out.2.lora_down.weight", "diffusion_model.out.2.lora_up.weight"),
     "diffusion_model_out_2"),
    (("diffusion_model.out.2.lora_A.weight", "diffusion_model.out.2.lora_B.weight"),
     "diffusion_model_out_2"),
    (("lora_unet_conv_in.lora_down.weight", "lora_unet_conv_in.lora_up.weight"),
     "lora_unet_conv_in"),
])  # fmt: skip
def test_plain_lora(keys: tuple[str, str], layer: str) -> None:
    found = canonical(dict(zip(keys, (A, B), strict=True)))
    assert found.keys() == {f"{layer}.{name}" for name in PLAIN}
    assert all(found[f"{layer}.{name}"] is value for name, value in PLAIN.items())  # no copy
    assert canonical(found).keys() == found.keys()


@pytest.mark.parametrize(("key", "shape", "name", "wanted"), [
    ("unet.a.lora_magnitude_vector", (4,), "dora_scale", (4, 1)),
    ("unet.a.lora_magnitude_vector.weight", (4,), "dora_scale", (4, 1)),
    ("unet.a.lora_magnitude_vector.default.weight", (4,), "dora_scale", (4, 1)),
    ("unet.a.dora_scale", (1, 3), "dora_scale", (1, 3)),
    ("unet.a.hada_w1_a.default", (4, 2), "hada_w1_a", (4, 2)),
    ("unet.a.lokr_w2_b", (2, 6), "lokr_w2_b", (2, 6)),
    ("unet.a.oft_R.weight", (3, 6), "oft_in.weight", (3, 4, 4)),
    ("unet.a.oft_R.default.weight", (3, 1), "oft_in.weight", (3, 2, 2)),
    ("unet.a.alpha", (), "alpha", ()), ("unet.a.diff_b", (4,), "diff_b", (4,)),
    ("unet.a.oft_blocks", (2, 2, 2), "oft_blocks", (2, 2, 2)),
    ("unet.a.a1.weight", (3, 2), "a1.weight", (3, 2)),
])  # fmt: skip
def test_other_tensors(key: str, shape: tuple, name: str, wanted: tuple) -> None:
    (full, value), = canonical({key: torch.ones(shape)}).items()  # fmt: skip
    assert full == f"unet_a.{name}" and tuple(value.shape) == wanted


def test_a_magnitude_of_a_convolution_is_of_outputs() -> None:
    tensors = {"lora_A.weight": torch.ones(2, 3, 3, 3), "lora_B.weight": torch.ones(4, 2, 1, 1)}
    tensors["lora_magnitude_vector"] = torch.arange(4.0).reshape(1, 4, 1, 1)
    found = canonical({f"unet.c.{name}": value for name, value in tensors.items()})
    assert found["unet_c.dora_scale"].shape == (4, 1, 1, 1)
    assert found["unet_c.dora_scale"].flatten().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("algorithm", FORMS)
def test_what_is_trained_here_stays_as_it_is(algorithm: str, layer: str) -> None:
    network = attach(toy(layer)[0], None, "full", algorithm, {}, seed=1)
    tensors = network.tensors()
    found = canonical(tensors)
    assert list(found) == list(tensors)
    assert all(found[key] is value for key, value in tensors.items())


def test_layouts_are_told_apart() -> None:
    examples = {
        "kohya": "lora_unet_down_blocks_0_attentions_0_proj_in.alpha",
        "compvis": "lora_unet_input_blocks_1_1_proj_in.alpha",
        "lycoris": "lycoris_conv_in.alpha",
        "diffusers": "unet.conv_in.lora_A.weight",
        "peft": "base_model.model.conv_in.lora_A.weight",
        "comfyui": "diffusion_model.input_blocks.0.0.lora_up.weight",
        "unknown": "conv_in.weight",
    }
    for layout, key in examples.items():
        assert layout_of([key]) == layout
    assert layout_of([]) == "unknown"
    assert layout_of(["up_blocks.0.attn1.processor.to_q_lora.up.weight"]) == "diffusers"
    assert layout_of([examples["compvis"], *[f"lora_te1_{k}.alpha" for k in "abc"]]) == "compvis"


DTYPES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])


def through_a_file(tensors: dict[str, Tensor], path: Path) -> Tensor:
    """The linear toy's change (20, 12), in float64."""
    save_file({f"lora_unet_down_blocks_0_layer.{key}": value.contiguous()
               for key, value in tensors.items()}, path)  # fmt: skip
    model, base = toy("linear")[0], toy("linear")[0]
    report = Merger(model).merge(adapter_file.read(path)[0])
    assert report.matched == 1
    return (model.layer.weight.double() - base.layer.weight.double()).detach()


@DTYPES
@pytest.mark.parametrize("alpha", [None, 0.0, 1.0, 0.3])
def test_every_precision_and_alpha(dtype: torch.dtype, alpha: float | None, tmp_path: Path) -> None:
    torch.default_generator.manual_seed(1)
    up, down = torch.randn(20, 3).to(dtype), torch.randn(3, 12).to(dtype)
    tensors = {"lora_up.weight": up, "lora_down.weight": down}
    ratio = 1.0
    if alpha is not None:
        tensors["alpha"] = torch.tensor(alpha, dtype=dtype)
        ratio = float(tensors["alpha"].double()) / 3 or 1.0
    wanted = ratio * up.double() @ down.double()
    found = through_a_file(tensors, tmp_path / "a.st")
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@DTYPES
@pytest.mark.parametrize("alpha", [10000.0, 100000.0, 1.0])
def test_lokr_of_full_dimension(dtype: torch.dtype, alpha: float, tmp_path: Path) -> None:
    """An alpha of 100 000 is infinite in half precision, and says nothing here."""
    torch.default_generator.manual_seed(1)
    w1, w2 = torch.randn(4, 3).to(dtype), torch.randn(5, 4).to(dtype)
    tensors = {"lokr_w1": w1, "lokr_w2": w2, "alpha": torch.tensor(alpha).to(dtype)}
    wanted = torch.kron(w1.double(), w2.double())
    found = through_a_file(tensors, tmp_path / "a.st")
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_files_of_old_lycoris(tmp_path: Path) -> None:
    """GLoRA 1.x has its factors transposed; `oft_diag` is the rotation itself."""
    torch.default_generator.manual_seed(1)
    a1, a2 = torch.randn(2, 12), torch.randn(12, 2)
    b1, b2 = torch.randn(2, 12), torch.randn(20, 2)
    weight = toy("linear")[0].layer.weight.detach().double()
    old = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2,
           "alpha": torch.tensor(1.0)}  # fmt: skip
    wanted = 0.5 * (b2.double() @ b1.double() + weight @ a2.double() @ a1.double())
    found = through_a_file(old, tmp_path / "a.st")
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    rotation = torch.linalg.qr(torch.randn(5, 4, 4, dtype=torch.float64))[0]
    found = through_a_file({"oft_diag": rotation.float()}, tmp_path / "b.st")
    wanted = torch.block_diag(*rotation).T @ weight - weight
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_conv_factors_as_matrices(tmp_path: Path) -> None:
    model: nn.Module = toy("conv3x3")[0]
    torch.default_generator.manual_seed(1)
    up, down = torch.randn(20, 2), torch.randn(2, 12 * 9)
    name = "lora_unet_down_blocks_0_layer"
    save_file({f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}, tmp_path / "a.st")
    before = model.layer.weight.detach().double().numpy()
    before = before.copy()
    Merger(model).merge(adapter_file.read(tmp_path / "a.st")[0])
    change = model.layer.weight.detach().double().numpy() - before
    wanted = (up.double().numpy() @ down.double().numpy()).reshape(20, 12, 3, 3)
    np.testing.assert_allclose(change, wanted, rtol=1e-5, atol=1e-5)


def private() -> float:
    """MB of memory that are no file's, without those that are free but not given back."""
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_file_is_mapped_and_not_copied(tmp_path: Path) -> None:
    """96 MB of tensors, a few of memory."""
    big = {f"lora_unet_{k}.lora_up.weight": torch.ones(2**18, 4) for k in range(24)}
    big |= {f"lora_unet_{k}.lora_down.weight": torch.zeros(4, 1) for k in range(24)}
    save_file(big, tmp_path / "a.safetensors")
    before = private()
    tensors, _ = adapter_file.read(tmp_path / "a.safetensors")
    assert private() - before < 20
    assert sum(float(v.sum()) for v in tensors.values()) == 24 * 2**20
    copies = [v.clone() for v in tensors.values()]
    assert private() - before > 90  # which is how copies show
    del copies
