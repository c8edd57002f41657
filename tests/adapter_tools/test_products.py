"""Lengths and distances of low-rank changes, against the whole matrices in float64."""

import itertools

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapter_tools.products import distance, factors_of
from lycoris_bench.adapters.algorithms.factors import length


def factors(outputs: int, inputs: int, rank: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    up = torch.randn(outputs, rank, generator=generator, dtype=torch.float64)
    return up, torch.randn(rank, inputs, generator=generator, dtype=torch.float64)


def size(matrix: Tensor) -> float:
    return float(torch.linalg.vector_norm(matrix))


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30, 1e200])
def test_a_length_is_that_of_the_matrix(scale: float) -> None:
    for rank in (1, 4, 40):
        up, down = factors(24, 30, rank)
        found = length((up * scale, down / scale))
        assert found == pytest.approx(size(up @ down), rel=1e-12)


def test_what_cancels_keeps_its_digits() -> None:
    """(u, -u·(1 + 1e-9)) · (d; d) is 1e-9 of u·d."""
    up, down = factors(24, 30, 4)
    both = torch.cat([up, -up * (1 + 1e-9)], 1), torch.cat([down, down])
    assert length(both) == pytest.approx(1e-9 * size(up @ down), rel=1e-5)
    assert length((torch.cat([up, -up], 1), torch.cat([down, down]))) < 1e-14 * size(up @ down)
    assert length((up * 0, down)) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_distance_of_roundings(dtype: torch.dtype) -> None:
    """Also where one has a factor on the other side, of each rank another."""
    one = factors(24, 30, 6)
    ratios = 2.0 ** torch.arange(-3, 3)
    for ratio in (torch.ones(6), ratios, 3 * ratios):
        up, down = (one[0] * ratio).to(dtype).double(), (one[1] / ratio[:, None]).to(dtype).double()
        wanted = size(up @ down - one[0] @ one[1])
        assert distance(one, (up, down)) == pytest.approx(wanted, rel=1e-3)
        assert wanted > 0


def test_the_distance_of_others() -> None:
    one, two, wide = factors(24, 30, 6), factors(24, 30, 6, seed=2), factors(24, 30, 9, seed=3)
    for a, b in itertools.permutations((one, two, wide), 2):
        assert distance(a, b) == pytest.approx(size(a[0] @ a[1] - b[0] @ b[1]), rel=1e-12)
    assert distance(one, one) == 0
    nothing = (one[0] * 0, one[1])
    assert distance(one, nothing) == pytest.approx(size(one[0] @ one[1]), rel=1e-12)
    assert distance(nothing, nothing) == 0


def test_structures_are_products() -> None:
    """LoHa's rank is the square of its own, Tucker's LoRA the same; large ranks are none."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    loha = {"hada_w1_a": drawn(24, 2), "hada_w1_b": drawn(2, 30), "hada_w2_a": drawn(24, 2),
            "hada_w2_b": drawn(2, 30), "alpha": torch.tensor(3.0)}  # fmt: skip
    found = factors_of(loha)
    one, two = (loha[f"hada_w{k}_a"].double() @ loha[f"hada_w{k}_b"].double() for k in (1, 2))
    assert found is not None and found[0].shape == (24, 4)
    assert torch.allclose(found[0] @ found[1], 1.5 * one * two)
    tucker = {"lora_up.weight": drawn(24, 2, 1, 1), "lora_mid.weight": drawn(2, 2, 3, 3),
              "lora_down.weight": drawn(2, 5, 1, 1)}  # fmt: skip
    found = factors_of(tucker)
    whole = torch.einsum("or,rsyx,si->oiyx", *(
        value.double().flatten(1) if value.shape[-1] == 1 else value.double()
        for value in tucker.values()))  # fmt: skip
    assert found is not None and torch.allclose(found[0] @ found[1], whole.flatten(1))
    assert factors_of({**loha, "dora_scale": torch.ones(1, 30)}) is None
    assert factors_of({**{k: v.repeat(1, 2) if k.endswith("_a") else v.repeat(2, 1)
                            for k, v in loha.items() if k != "alpha"}}) is None  # fmt: skip
