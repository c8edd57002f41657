"""The cheapest way of a training step: by factors where these have fewer FLOPs, else by the adapted
weight; either equals the other, and each is taken where it says."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lycoris_bench.adapters import layer_forward
from lycoris_bench.adapters.attach import attach

LAYERS = {
    "linear": (lambda: nn.Linear(160, 128), (3, 50, 160)),
    "conv3x3": (lambda: nn.Conv2d(24, 128, 3, stride=2, padding=1), (2, 24, 9, 9)),
    "reflected": (lambda: nn.Conv2d(24, 128, 3, padding=1, padding_mode="reflect"), (2, 24, 9, 9)),
    "conv1x1": (lambda: nn.Conv2d(160, 128, 1, bias=False), (2, 160, 5, 5)),
    "conv1d": (lambda: nn.Conv1d(64, 128, 3, padding=1), (2, 64, 20)),
}
FORMS = {
    "lora": {"dim": 4, "alpha": 2},
    "lora by root": {"dim": 4, "rs_lora": True, "use_scalar": True},
    "lora in tucker form": {"dim": 4, "use_tucker": True},
    "loha": {"dim": 2, "alpha": 1},
    "loha in tucker form": {"dim": 2, "use_tucker": True},
}


def made(layer: str, form: str, **more: object) -> tuple[nn.Module, torch.Tensor, nn.Module]:
    torch.default_generator.manual_seed(0)
    build, size = LAYERS[layer]
    model, x = nn.Sequential(build()), torch.randn(size, requires_grad=True)
    kind = form.partition(" ")[0]
    network = attach(model, layers=["0"], algorithm=kind, options={**FORMS[form], **more}, seed=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
    return model, x, network


def results(model: nn.Module, x: torch.Tensor, network: nn.Module) -> list[torch.Tensor]:
    y = model(x)
    y.square().mean().backward()
    return [y.detach(), x.grad, *(p.grad for p in network.parameters())]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("form", FORMS)
def test_factors_make_the_values_and_gradients_of_the_adapted_weight(layer, form, monkeypatch):
    found = {}
    for way in (True, False):
        monkeypatch.setattr(layer_forward, "fewer", lambda *_, way=way: way)
        model, x, network = made(layer, form)
        network.set_strength(0.7)
        found[way] = results(model, x, network)
    monkeypatch.undo()
    for by_factors, by_weight in zip(found[True], found[False], strict=True):
        torch.testing.assert_close(by_factors, by_weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("form", ["lora", "loha"])
def test_a_low_rank_takes_two_thirds_of_the_flops_and_a_high_one_those_of_the_weight(form):
    def flops(dim: int, **more: object) -> float:
        model, x, _ = made("linear", form, dim=dim, **more)
        with FlopCounterMode(display=False) as counter:
            model(x).sum().backward()
        return counter.get_total_flops() / (2 * x[..., 0].numel() * 160 * 128)

    assert flops(1) < 2.2  # products with W, forwards and backwards
    assert flops(16) > 2.9  # and the gradient of W
    assert flops(1, rank_dropout=0.5) > 2.9  # rows of ΔW are needed
    assert flops(1, dora_wd=True) > 2.9  # ΔW is no product


def test_no_module_is_left_out_more_often_than_asked_and_dropout_keeps_the_base():
    model, x, _ = made("linear", "lora", module_dropout=0.25, dropout=0.5)
    torch.default_generator.manual_seed(0)
    base = nn.functional.linear(x, model[0].weight, model[0].bias)
    changed = [~torch.isclose(model(x), base, atol=1e-5) for _ in range(200)]
    shares = torch.stack([c.float().mean() for c in changed])
    assert float((shares == 0).float().mean()) == pytest.approx(0.25, abs=0.1)
    assert float(shares[shares > 0].mean()) == pytest.approx(0.5, abs=0.02)
