"""Numbers that a person can work out."""

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapters import merged_weight

ONE, TWO = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 4.0]])
SQUARE = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
QUARTER = torch.tensor([[0.0, 0.5], [0.0, 0.0]])  # I+Q over I-Q of 0.5: cosine 0.6, sine 0.8


def merged(base: Tensor, /, **tensors: Tensor) -> list:
    named = {name.replace("__", "."): value for name, value in tensors.items()}
    return merged_weight(named, base).tolist()


def test_products() -> None:
    zero = torch.zeros(2, 2)
    assert merged(
        zero, lora_up__weight=ONE, lora_down__weight=TWO, alpha=torch.tensor(2.0)
    ) == [[6, 8], [12, 16]]  # fmt: skip
    assert merged(zero, hada_w1_a=ONE, hada_w1_b=TWO, hada_w2_a=ONE, hada_w2_b=TWO) == [
        [9, 16], [36, 64],
    ]  # fmt: skip
    assert merged(zero, lokr_w1=ONE, lokr_w2=TWO) == [[3, 4], [6, 8]]


def test_glora_adds_a_share_of_the_weights_own_columns() -> None:
    """a1·a2 = [[3, 4], [6, 8]]; W·a1·a2 = [[15, 20], [33, 44]]; b1·b2 = [[3, 4], [6, 8]]."""
    tensors = {"a1__weight": ONE, "a2__weight": TWO, "b1__weight": ONE, "b2__weight": TWO}
    assert merged(SQUARE, **tensors) == [[19, 26], [42, 56]]
    halved = merged(SQUARE, **tensors, alpha=torch.tensor(0.5))
    assert halved == [[10, 14], [22.5, 30]]


def test_ia3_scales_rows_or_columns() -> None:
    scale = torch.tensor([0.5, -1.0])
    assert merged(SQUARE, weight=scale, on_input=torch.tensor(0)) == [[1.5, 3], [0, 0]]
    assert merged(SQUARE, weight=scale, on_input=torch.tensor(1)) == [[1.5, 0], [4.5, 0]]


def test_dora_sets_lengths() -> None:
    """(3, 4) has length 5; asked for 10 it becomes (6, 8)."""
    weight = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    still = {"lora_up__weight": torch.zeros(2, 1), "lora_down__weight": torch.zeros(1, 2)}
    rows = merged(weight, **still, dora_scale=torch.tensor([[10.0], [2.0]]))
    assert rows == [pytest.approx([6, 8]), pytest.approx([0, 2])]
    columns = merged(weight, **still, dora_scale=torch.tensor([[6.0, 20**0.5]]))
    assert columns == [pytest.approx([6, 4]), pytest.approx([0, 2])]


def test_diag_oft_turns_pairs_of_rows_back() -> None:
    """R = [[0.6, 0.8], [-0.8, 0.6]], and it is Rᵀ that acts."""
    found = merged(torch.tensor([[5.0], [0.0], [0.0], [5.0]]), oft_blocks=QUARTER.repeat(2, 1, 1))
    assert [row[0] for row in found] == pytest.approx([3, 4, -4, 3])


def test_the_constraint_bounds_the_angle() -> None:
    """|Q| = √(2 · 0.5²); 0.25·√2 = ε · 2 halves it: t = 0.25, cosine 15/17, sine 8/17."""
    epsilon = torch.tensor(0.25 * 2**0.5 / 2)
    found = merged(torch.tensor([[17.0], [0.0]]), oft_blocks=QUARTER[None], alpha=epsilon)
    assert [row[0] for row in found] == pytest.approx([15, 8], rel=1e-6)
    free = merged(torch.tensor([[5.0], [0.0]]), oft_blocks=QUARTER[None], alpha=torch.tensor(0.0))
    assert [row[0] for row in free] == pytest.approx([3, 4])


def test_boft_turns_neighbours_and_then_those_two_apart() -> None:
    """R itself acts: rows 0 and 1 first, (5, 0) -> (3, -4); then 0 with 2 and 1 with 3."""
    blocks = torch.stack([QUARTER.repeat(2, 1, 1)] * 2)
    found = merged(torch.tensor([[25.0], [0.0], [0.0], [0.0]]), oft_blocks=blocks)
    assert [row[0] for row in found] == pytest.approx([9, -12, -12, 16])


def test_rescale_multiplies_rows_after_the_turn() -> None:
    found = merged(
        torch.tensor([[5.0], [0.0]]),
        oft_blocks=QUARTER[None],
        rescale=torch.tensor([[2.0], [-1.0]]),
    )
    assert [row[0] for row in found] == pytest.approx([6, -4])


def test_inputs_are_turned_as_a_row_times_r() -> None:
    """y = layer(x·R): x = (1, 0) becomes R's first row, (0.6, 0.8)."""
    rotation = torch.tensor([[[0.6, 0.8], [-0.8, 0.6]]])
    found = merged(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), oft_in__weight=rotation)
    y = torch.tensor([[1.0, 0.0]]) @ torch.tensor(found).T
    assert y[0].tolist() == pytest.approx([0.6, 0.8])
