"""DyLoRA: every prefix of its file is what a step trained, and only its last block learns."""

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms.dylora import DyLoRA
from lycoris_bench.adapters.formats.adapter_file import recognise

SHAPES = [(20, 12), (20, 12, 3, 3)]


def moved(shape: tuple[int, ...]) -> tuple[DyLoRA, Tensor]:
    torch.default_generator.manual_seed(1)
    weight = torch.randn(shape)
    adapter = DyLoRA(weight, dim=6, alpha=3, block_size=2)
    torch.nn.init.normal_(adapter.up)
    return adapter, weight


def prefix(adapter: DyLoRA, seed: int) -> int:
    """The number of rows that this seed draws."""
    torch.default_generator.manual_seed(seed)
    return len(adapter.drawn()["lora_down.weight"])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_cut_file_is_what_was_trained(shape: tuple[int, ...]) -> None:
    adapter, weight = moved(shape)
    tensors = {name: value.detach() for name, value in adapter.tensors().items()}
    for seed in range(12):
        n = prefix(adapter, seed)
        torch.default_generator.manual_seed(seed)
        trained, _ = adapter.train()(weight)
        cut = {
            "lora_down.weight": tensors["lora_down.weight"][:n],
            "lora_up.weight": tensors["lora_up.weight"][:, :n],
            "alpha": tensors["alpha"] * n / 6,
        }
        torch.testing.assert_close(merged_weight(cut, weight), trained.detach())
        up, down = (cut[f"lora_{k}.weight"].flatten(1).double() for k in ("up", "down"))
        exact = weight.double() + 0.5 * (up @ down).reshape(shape)  # alpha/dim for every n
        torch.testing.assert_close(trained.double(), exact, rtol=1e-5, atol=1e-5)
    whole, _ = adapter.eval()(weight)
    assert torch.equal(whole, merged_weight(tensors, weight))
    assert recognise(tensors)[0] == "lora"


def test_only_the_last_block_of_the_prefix_learns() -> None:
    adapter, weight = moved((20, 12))
    for seed in range(12):
        n = prefix(adapter, seed)
        torch.default_generator.manual_seed(seed)
        adapter.zero_grad()
        adapter.train()(weight)[0].square().sum().backward()
        for gradient in (adapter.down.grad, adapter.up.grad.T):
            rows = gradient.flatten(1).abs().sum(1) > 0
            assert rows.nonzero().flatten().tolist() == [n - 2, n - 1]


def test_every_prefix_is_drawn_as_often() -> None:
    adapter, _ = moved((20, 12))
    torch.default_generator.manual_seed(0)
    drawn = [len(adapter.drawn()["lora_down.weight"]) for _ in range(600)]
    for n in (2, 4, 6):  # 200 each, with a standard deviation of 12
        assert drawn.count(n) == pytest.approx(200, abs=45)


def test_blocks_that_do_not_fill_the_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="dim is 6, which block_size 4 does not divide; dim = 8"):
        DyLoRA.check(dim=6)
    with pytest.raises(ValueError, match="conv_dim is 3, which block_size 2 does not"):
        DyLoRA.check(dim=6, block_size=2, conv_dim=3)
    with pytest.raises(ValueError, match="block_size 4 does not divide"):
        DyLoRA(torch.empty(8, 8), dim=6)
    DyLoRA.check(dim=6, block_size=3, conv_dim=0)
    with pytest.raises(ValueError, match="block_size is 0; a whole number from 1"):
        DyLoRA.check(block_size=0)
