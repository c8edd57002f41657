"""peft's LoHa, LoKr and OFT with the same tensors: the same outputs, the same merged weights.

peft's BOFT (the paper's: input side, other stages) and its (IA)³ (the bias is scaled too) are
other maps; its LoRA is tested through diffusers."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters import merged_weight
from tests.support.toys import toy

peft = pytest.importorskip("peft", reason="peft is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
CONFIGS = {
    "loha": lambda: peft.LoHaConfig(r=3, alpha=2, target_modules=["layer"]),
    "loha-tucker": lambda: peft.LoHaConfig(
        r=3, alpha=2, target_modules=["layer"], use_effective_conv2d=True
    ),
    "lokr": lambda: peft.LoKrConfig(r=2, alpha=1, target_modules=["layer"], decompose_factor=2),
    "lokr-tucker": lambda: peft.LoKrConfig(
        r=1, alpha=2, target_modules=["layer"], decompose_factor=4,
        use_effective_conv2d=True, decompose_both=True,
    ),
    "oft": lambda: peft.OFTConfig(
        r=0, oft_block_size=4, target_modules=["layer"], use_cayley_neumann=False
    ),
}  # fmt: skip


def moved(kind: str, layer: str) -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    """peft's model away from its start, its layer, the base weight and an input."""
    model, x = toy(layer)
    weight = model.layer.weight.detach().clone()
    made = peft.get_peft_model(model, CONFIGS[kind]()).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn_like(parameter)
    inner = next(part for part in made.modules() if hasattr(part, "base_layer"))
    return made, inner, weight, x


def tensors_of(kind: str, inner: Any, alpha: float | None) -> dict[str, Tensor]:
    if kind == "oft":
        rotation = inner.oft_R["default"]
        whole, size = rotation.get_weight().detach(), rotation.block_size
        count = len(whole) // size
        blocks = whole.reshape(count, size, count, size).diagonal(dim1=0, dim2=2)
        return {"oft_in.weight": blocks.permute(2, 0, 1).contiguous()}
    found = {
        name.removesuffix(".default"): value.detach()
        for name, value in inner.named_parameters()
        if name.startswith(("hada", "lokr"))
    }
    return {**found, "alpha": torch.tensor(alpha)}


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("layer", ["linear", "conv1x1", "conv3x3"])
def test_peft(kind: str, layer: str) -> None:
    made, inner, weight, x = moved(kind, layer)
    base = inner.base_layer(x)
    theirs = made(x)
    tensors = tensors_of(kind, inner, {"loha": 2.0, "lokr": 1.0}.get(kind, 2.0))
    ours = merged_weight(tensors, weight)
    merged = made.merge_and_unload().down_blocks[0].layer
    torch.testing.assert_close(ours, merged.weight.detach(), rtol=1e-4, atol=1e-5)
    assert (theirs - base).abs().max() > 1e-2
    if (kind, layer) != ("oft", "conv3x3"):
        torch.testing.assert_close(merged(x), theirs, rtol=1e-4, atol=1e-5)


def test_pefts_rotation_of_kernels_is_the_one_that_it_merges() -> None:
    """Its forward pass turns each patch and folds them back into an image, which no weight can
    do: what it merges is the meaning of a file."""
    made, inner, weight, x = moved("oft", "conv3x3")
    theirs = made(x)
    ours = merged_weight(tensors_of("oft", inner, None), weight)
    layer = inner.base_layer
    applied = nn.functional.conv2d(x, ours, layer.bias, layer.stride, layer.padding)
    assert (applied - theirs).norm() / theirs.norm() > 0.1
