"""ΔW of each algorithm against loops in float64 and numbers that a person can work out."""

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lycoris_bench.adapters.algorithms.full import Full
from lycoris_bench.adapters.algorithms.loha import LoHa
from lycoris_bench.adapters.algorithms.lokr import LoKr
from lycoris_bench.adapters.algorithms.lora import LoRA
from lycoris_bench.adapters.algorithms.norm import NormShift

Array = NDArray[np.float64]
SHAPES = [(6, 4), (6, 4, 1, 1), (6, 4, 3, 3), (6, 4, 2, 3)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def draw(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    torch.default_generator.manual_seed(11)
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def arrays(tensors: dict[str, Tensor]) -> list[Array]:
    return [value.double().numpy() for value in tensors.values()]


def close(delta: Tensor, expected: Array) -> None:
    assert delta.dtype == torch.float32 and tuple(delta.shape) == expected.shape
    np.testing.assert_allclose(delta.numpy(), expected, rtol=1e-5, atol=1e-5)


@every_shape
@pytest.mark.parametrize("flat", [False, True])
def test_lora(shape: tuple[int, ...], flat: bool) -> None:
    rank, (o, i, *k) = 3, shape
    tensors = draw(up=(o, rank, *(1 for _ in k)), down=(rank, i, *k))
    up, down = arrays(tensors)
    expected = np.zeros(shape)
    for index in itertools.product(*map(range, shape)):
        for r in range(rank):
            expected[index] += 5 / rank * up[index[0], r].item() * down[(r, *index[1:])]
    if flat:  # some tools write the factors of a convolution as matrices
        tensors = {name: value.flatten(1) for name, value in tensors.items()}
    named = {"lora_up.weight": tensors["up"], "lora_down.weight": tensors["down"]}
    close(LoRA.delta_from({**named, "alpha": torch.tensor(5.0)}, torch.empty(shape)), expected)


@every_shape
def test_loha(shape: tuple[int, ...]) -> None:
    rank, o, i = 3, shape[0], int(np.prod(shape[1:]))
    tensors = draw(
        hada_w1_a=(o, rank), hada_w1_b=(rank, i), hada_w2_a=(o, rank), hada_w2_b=(rank, i)
    )
    w1a, w1b, w2a, w2b = arrays(tensors)
    expected = np.zeros((o, i))
    for row, column in itertools.product(range(o), range(i)):
        first = sum(w1a[row, r] * w1b[r, column] for r in range(rank))
        second = sum(w2a[row, r] * w2b[r, column] for r in range(rank))
        expected[row, column] = 5 / rank * first * second
    delta = LoHa.delta_from({**tensors, "alpha": torch.tensor(5.0)}, torch.empty(shape))
    close(delta, expected.reshape(shape))


@every_shape
@pytest.mark.parametrize("whole1", [False, True])
@pytest.mark.parametrize("whole2", [False, True])
def test_lokr(shape: tuple[int, ...], whole1: bool, whole2: bool) -> None:
    """6 = 2 · 3 outputs and 4 = 2 · 2 inputs: entry (2u+..) by its definition, one at a time."""
    r1, r2, kernel = 1, 2, shape[2:]
    columns = 2 * int(np.prod(kernel))
    one = draw(lokr_w1=(2, 2)) if whole1 else draw(lokr_w1_a=(2, r1), lokr_w1_b=(r1, 2))
    two = (
        draw(lokr_w2=(3, 2, *kernel))
        if whole2
        else draw(lokr_w2_a=(3, r2), lokr_w2_b=(r2, columns))
    )
    w1 = arrays(one)[0] if whole1 else arrays(one)[0] @ arrays(one)[1]
    w2 = (arrays(two)[0] if whole2 else arrays(two)[0] @ arrays(two)[1]).reshape(3, 2, *kernel)
    ratio = {(True, True): 1.0, (False, True): 5 / r1}.get((whole1, whole2), 5 / r2)
    expected = np.zeros(shape)
    for o, i, *k in itertools.product(*map(range, shape)):
        expected[(o, i, *k)] = ratio * w1[o // 3, i // 2] * w2[(o % 3, i % 2, *k)]
    tensors = {**one, **two, "alpha": torch.tensor(5.0)}
    close(LoKr.delta_from(tensors, torch.empty(shape)), expected)


@pytest.mark.parametrize("alpha", [None, 0.0, 3.0])
def test_no_alpha_and_alpha_0_mean_a_ratio_of_1(alpha: float | None) -> None:
    tensors = draw(up=(6, 3), down=(3, 4))
    named = {"lora_up.weight": tensors["up"], "lora_down.weight": tensors["down"]}
    if alpha is not None:
        named["alpha"] = torch.tensor(alpha, dtype=torch.float16)
    up, down = arrays(tensors)
    close(LoRA.delta_from(named, torch.empty(6, 4)), up @ down)


@pytest.mark.parametrize("dim", [10000, 100000])
def test_lokr_of_full_dimension_ignores_alpha(dim: float) -> None:
    """Other tools store the rank they were asked for as alpha; in half precision 100000 is inf."""
    tensors = draw(lokr_w1=(2, 2), lokr_w2=(3, 2))
    w1, w2 = arrays(tensors)
    alpha = torch.tensor(dim).half()
    close(LoKr.delta_from({**tensors, "alpha": alpha}, torch.empty(6, 4)), np.kron(w1, w2))


def test_full_and_norm_files_hold_differences() -> None:
    weight, bias = torch.randn(6, 4), torch.randn(6)
    full = Full(weight, bias)
    with torch.no_grad():
        full.weight.copy_(torch.full((6, 4), 2.0))
        full.bias.copy_(torch.full((6,), -1.0))
    tensors = full.tensors()
    close(tensors["diff"].detach(), 2.0 - weight.double().numpy())
    close(tensors["diff_b"].detach(), -1.0 - bias.double().numpy())
    shift = {"w_norm": torch.arange(6.0), "b_norm": torch.ones(6)}
    assert NormShift.delta_from(shift, bias).tolist() == [0, 1, 2, 3, 4, 5]
    assert NormShift.bias_from(shift).tolist() == [1] * 6


@pytest.mark.parametrize("kind", [LoRA, LoHa, LoKr, Full])
def test_the_change_of_another_layer_is_refused(kind: type) -> None:
    """Also one with as many numbers, which a reshape would take in silence."""
    tensors = kind(torch.randn(4, 6)).tensors()
    for shape in ((6, 4), (6, 6)):
        with pytest.raises(
            ValueError, match=rf"\(4, 6\) does not fit a weight of shape \({shape[0]},"
        ):
            kind.delta_from(tensors, torch.empty(shape))


def test_ranks_and_ratios_of_convolutions() -> None:
    """1x1 convolutions take the linear values, larger ones the conv_ values where given."""
    options = {"dim": 4, "alpha": 2, "conv_dim": 2, "conv_alpha": 0.5}
    shapes = {(8, 8): (4, 2), (8, 8, 1, 1): (4, 2), (8, 8, 3, 3): (2, 0.5)}
    for shape, (rank, alpha) in shapes.items():
        tensors = LoRA(torch.empty(shape), **options).tensors()
        assert len(tensors["lora_down.weight"]) == rank and tensors["alpha"] == alpha
        assert LoRA(torch.empty(shape), dim=4, alpha=None).tensors()["alpha"] == 4


def test_lokr_decomposes_a_block_only_below_half_its_size() -> None:
    """o = i = 64 and factor 4: w1 is 4x4, w2 is 16x16; the limits are 2 and 8, both strict."""
    weight = torch.empty(64, 64)

    def forms(**options: object) -> set[str]:
        tensors = LoKr(weight, factor=4, **options).tensors()
        return {name.removeprefix("lokr_") for name in tensors} - {"alpha"}

    assert forms() == forms(dim=8) == forms(dim=1, full_matrix=True) == {"w1", "w2"}
    assert forms(dim=7) == forms(dim=2, decompose_both=True) == {"w1", "w2_a", "w2_b"}
    assert forms(dim=1, decompose_both=True) == {"w1_a", "w1_b", "w2_a", "w2_b"}
