"""What the backward pass keeps: LoHa's two halves and BOFT's stages are made anew, rightly."""

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.algorithms.boft import BOFT
from lycoris_bench.adapters.algorithms.loha import Hadamard, LoHa


def factors(dtype: torch.dtype, o: int = 5, i: int = 7, rank: int = 3) -> list[Tensor]:
    torch.default_generator.manual_seed(3)
    shapes = [(o, rank), (rank, i), (o, rank), (rank, i)]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def test_gradients_against_finite_differences_in_float64() -> None:
    assert torch.autograd.gradcheck(Hadamard.apply, factors(torch.float64))


def test_gradients_against_those_of_the_plain_product() -> None:
    values = factors(torch.float64)
    direction = torch.randn(5, 7, dtype=torch.float64)
    ours = torch.autograd.grad((Hadamard.apply(*values) * direction).sum(), values)
    w1a, w1b, w2a, w2b = values
    plain = torch.autograd.grad(((w1a @ w1b) * (w2a @ w2b) * direction).sum(), values)
    for found, wanted in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def kept_by(adapter: Adapter, weight: Tensor) -> dict[int, int]:
    """Storage -> numbers, of what the forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.numel()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        adapter.delta(weight)
    kept.pop(weight.untyped_storage().data_ptr(), None)
    return kept


@pytest.mark.parametrize("tucker", [False, True])
def test_of_loha_only_factors_are_kept(tucker: bool) -> None:
    """A plain product would keep both halves: twice the weight's own numbers."""
    weight = torch.randn(64, 48, 3, 3)
    kept = kept_by(LoHa(weight, dim=2, use_tucker=tucker), weight)
    assert kept and max(kept.values()) <= 2 * 48 * 9  # (dim, i·k²)
    assert sum(kept.values()) < weight.numel() / 5


def test_of_boft_only_rotations_are_kept() -> None:
    """64 rows in blocks of 2 have 6 stages, each as large as the weight."""
    weight = torch.randn(64, 500)
    adapter = BOFT(weight, dim=2)
    kept = kept_by(adapter, weight)
    assert kept and max(kept.values()) <= adapter.parameter_count < weight.numel() / 10
