"""Dropouts: what each leaves out, how often, what is made up for, and that none acts in use."""

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.attach import AdapterNetwork, attach
from tests.support.forms import FORMS
from tests.support.toys import Toy, randomise, toy

ALGORITHMS = list(FORMS)
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
DRAWS = 400


def trained(
    algorithm: str, layer: str = "linear", **held: object
) -> tuple[Toy, Tensor, AdapterNetwork]:
    model, x = toy(layer)
    options = {**FORMS[algorithm][0], **held}
    if algorithm == "dylora":
        options["block_size"] = options["dim"]  # its own draws are not what is tested here
    network = attach(model, None, "full", algorithm, options, seed=7)
    randomise(network)
    return model, x, network.train()


def moved(model: Toy, network: AdapterNetwork) -> Tensor:
    (adapter,) = network.adapters.values()
    with torch.no_grad():
        return adapter(model.layer.weight, model.layer.bias)[0] - model.layer.weight


@every_algorithm
@pytest.mark.parametrize(
    "held",
    [{"dropout": 0.5}, {"rank_dropout": 0.5, "rank_dropout_scale": True}, {"module_dropout": 0.5}],
    ids=lambda held: next(iter(held)),
)
def test_none_acts_in_use(algorithm: str, held: dict) -> None:
    model, x, network = trained(algorithm, **held)
    network.eval()
    used = model(x)
    network.detach()
    plain, _, without = trained(algorithm)
    without.eval()
    assert torch.equal(used, plain(x))


@every_algorithm
def test_rank_dropout_leaves_out_rows(algorithm: str) -> None:
    """Each row of ΔW is there in full or not at all, kept with 1 - p: 20 rows, 400 draws."""
    torch.default_generator.manual_seed(0)
    model, _, network = trained(algorithm, rank_dropout=0.3)
    whole = moved(model, network.eval())
    network.train()
    kept = []
    for _ in range(DRAWS):
        rows = moved(model, network)
        there = rows.abs().sum(1) > 0
        torch.testing.assert_close(rows[there], whole[there])
        kept.append(there.float())
    share = torch.stack(kept)
    # 8000 draws of p = 0.3: a standard deviation of 0.005
    assert float(share.mean()) == pytest.approx(0.7, abs=0.02)
    assert share.mean(0).min() > 0.6 and share.mean(0).max() < 0.8  # every row alike
    assert len(share.unique(dim=0)) > DRAWS / 2  # rows on their own, not all at once


@pytest.mark.parametrize("scaled", [False, True])
def test_rank_dropout_scale_makes_up_for_what_is_left_out(scaled: bool) -> None:
    """With it, the rows that stay are divided by the share that stays in this draw."""
    torch.default_generator.manual_seed(0)
    model, _, network = trained("lora", rank_dropout=0.6, rank_dropout_scale=scaled)
    whole = moved(model, network.eval())
    network.train()
    for _ in range(20):
        rows = moved(model, network)
        there = rows.abs().sum(1) > 0
        factor = 1 / float(there.float().mean()) if scaled else 1.0
        torch.testing.assert_close(rows[there], whole[there] * factor, rtol=1e-4, atol=1e-6)


def test_all_rows_dropped_is_no_change_and_not_0_over_0() -> None:
    model, x, network = trained("lokr", rank_dropout=0.99, rank_dropout_scale=True)
    seen = 0
    for seed in range(30):  # 0.99 ** 20 = 0.82 of them drop all rows
        torch.default_generator.manual_seed(seed)
        if bool(moved(model, network).abs().sum() == 0):
            seen += 1
            torch.default_generator.manual_seed(seed)
            model(x).square().sum().backward()
            assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    assert seen > 15


@every_algorithm
def test_module_dropout_leaves_out_the_layer(algorithm: str) -> None:
    """The base in p of the steps, the adapter in the others, but for the last digits."""
    model, x, network = trained(algorithm, module_dropout=0.25)
    network.eval()
    whole = model(x)
    base = toy("linear")[0](x)
    network.train()
    torch.default_generator.manual_seed(0)
    skipped = 0
    for _ in range(DRAWS):
        y = model(x)
        left_out = torch.allclose(y, base, rtol=1e-4, atol=1e-5)
        skipped += left_out
        assert left_out or torch.allclose(y, whole, rtol=1e-4, atol=1e-5)
    # a standard deviation of 8.7 draws
    assert skipped == pytest.approx(0.25 * DRAWS, abs=30)


@pytest.mark.parametrize("layer", ["linear", "conv3x3"])
def test_dropout_keeps_the_expectation(layer: str) -> None:
    """Each number of the adapter's output is 0 or 1/(1 - p) times itself; the base's stays."""
    model, x, network = trained("loha", layer, dropout=0.2)
    network.eval()
    change = (model(x) - toy(layer)[0](x)).detach()
    base = toy(layer)[0](x).detach()
    network.train()
    torch.default_generator.manual_seed(0)
    dropped = []
    for _ in range(60):
        found = model(x).detach() - base
        gone = found.abs() < 1e-6
        torch.testing.assert_close(found[~gone], change[~gone] / 0.8, rtol=1e-3, atol=1e-5)
        dropped.append(gone.float())
    assert float(torch.stack(dropped).mean()) == pytest.approx(0.2, abs=0.02)


def test_norm_layers_keep_with_1_minus_p() -> None:
    from lycoris_bench.adapters.algorithms.norm import NormShift
    from lycoris_bench.adapters.algorithms.regularization import Limits

    layer = nn.LayerNorm(20)
    shift = NormShift(layer.weight, layer.bias)
    with torch.no_grad():
        shift.w_norm.fill_(1.0)
        shift.b_norm.fill_(2.0)
    shift.limits = Limits(rank_dropout=0.1)
    shift.train()
    torch.default_generator.manual_seed(0)
    kept = []
    for _ in range(DRAWS):
        weight, bias = shift(layer.weight, layer.bias)
        assert torch.equal((weight - 1) * 2, bias)  # a channel's weight and bias together
        kept.append(weight.detach() - 1)
    assert float(torch.stack(kept).mean()) == pytest.approx(0.9, abs=0.02)
