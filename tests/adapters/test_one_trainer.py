"""OneTrainer's OFT: kohya's names around PEFT's numbers, and kernels turned the other way."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.formats import adapter_file

B = 4  # a block


def rotation(packed: Tensor) -> Tensor:
    """I + 2Q + 2Q² + 2Q³ + Q⁴ of each block, element by element, in float64."""
    q = torch.zeros(len(packed), B, B, dtype=torch.float64)
    numbers = iter(packed.double().T)
    for row in range(B):
        for column in range(row + 1, B):
            q[:, row, column] = number = next(numbers)
            q[:, column, row] = -number
    return torch.eye(B, dtype=torch.float64) + 2 * q + 2 * q @ q + 2 * q @ q @ q + q @ q @ q @ q


def turned(weight: Tensor, packed: Tensor, one_trainer: bool) -> Tensor:
    """W' with each block of unrolled inputs times Rᵀ, or R for OneTrainer's convolutions."""
    rows = weight.reshape(len(weight), -1, B)
    turns = rotation(packed).expand(rows.shape[1], B, B)
    sides = turns if one_trainer and weight.dim() > 2 else turns.mT
    return torch.stack([rows[:, k] @ sides[k] for k in range(len(sides))], 1).reshape(weight.shape)


SHAPES = ((10, 8), (10, 8, 1, 1), (10, 8, 3, 3), (10, 8, 2))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "extra", "one_trainer"), [
    ("lora_unet_conv_in", {}, True), ("lora_te_text_model_x", {}, True),
    ("lora_unet_conv_in", {"oft_R.scaled_oft": torch.tensor(1)}, True),
    ("unet.conv_in", {"oft_R.scaled_oft": torch.tensor(1)}, True),
    ("unet.conv_in", {}, False), ("base_model.model.conv_in", {}, False),
])  # fmt: skip
@pytest.mark.parametrize("shared", [False, True])
def test_whose_oft_it_is(
    shape: tuple, name: str, extra: dict, one_trainer: bool, shared: bool, tmp_path: Path
) -> None:
    torch.default_generator.manual_seed(0)
    weight = torch.randn(shape, dtype=torch.float64)
    blocks = 1 if shared and one_trainer else weight[0].numel() // B
    packed = 0.1 * torch.randn(blocks, B * (B - 1) // 2)
    tensors = {f"{name}.oft_R.weight": packed}
    tensors |= {f"{name}.{key}": value for key, value in extra.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    found, _ = adapter_file.read(tmp_path / "a.safetensors")
    (own,) = adapter_file.by_layer(found).values()
    strong = packed.double() / packed.shape[1] ** 0.5 if extra else packed
    wanted = turned(weight, strong, one_trainer)
    got = merged_weight(own, weight)
    assert float((got - wanted).norm() / (wanted - weight).norm()) < 1e-6
    (tmp_path / "b.safetensors").write_bytes(
        adapter_file.to_bytes(found, {})
    )  # and again, from ours
    (again,) = adapter_file.by_layer(adapter_file.read(tmp_path / "b.safetensors")[0]).values()
    assert torch.equal(merged_weight(again, weight), got)


def test_pefts_own_configuration_makes_it_pefts(tmp_path: Path) -> None:
    """diffusers' metadata beside kohya's names."""
    torch.default_generator.manual_seed(0)
    packed, weight = 0.1 * torch.randn(2, 6), torch.randn(10, 8, 1, 1, dtype=torch.float64)
    about = {"lora_adapter_metadata": '{"peft_type": "OFT", "r": 0, "oft_block_size": 4}'}
    save_file({"lora_unet_conv_in.oft_R.weight": packed}, tmp_path / "a", about)
    (own,) = adapter_file.by_layer(adapter_file.read(tmp_path / "a")[0]).values()
    wanted = turned(weight, packed, one_trainer=False)
    assert float((merged_weight(own, weight) - wanted).norm() / (wanted - weight).norm()) < 1e-6
