"""Each algorithm learns: steps of AdamW bring a layer closer to another one."""

import pytest
import torch
from torch import nn

from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.attach import attach
from tests.support.forms import FORMS
from tests.support.toys import toy

CASES = [
    pytest.param(algorithm, options, layer, id=f"{algorithm}{k}-{layer}")
    for algorithm, forms in FORMS.items()
    for k, options in enumerate(forms)
    for layer in ("linear", "grouped")
]


def wanted(algorithm: str, model: nn.Module) -> torch.Tensor:
    """A weight that the algorithm can come near: W with its outputs scaled, and a bit turned."""
    weight = model.layer.weight.detach()
    generator = torch.Generator().manual_seed(6)
    scales = 1 + 0.4 * torch.randn(len(weight), generator=generator)
    turned = torch.linalg.matrix_exp(0.1 * _skew(len(weight), generator))
    moved = (turned @ weight.flatten(1)).reshape(weight.shape)
    return moved * scales.reshape(-1, *(1 for _ in weight.shape[1:]))


def _skew(n: int, generator: torch.Generator) -> torch.Tensor:
    values = torch.randn(n, n, generator=generator)
    return values - values.T


@pytest.mark.parametrize(("algorithm", "options", "layer"), CASES)
def test_a_regression_gets_better(algorithm: str, options: dict, layer: str) -> None:
    torch.default_generator.manual_seed(0)
    options = {**options, **({"constraint": 1.0} if "constraint" in options else {})}
    model, x = toy(layer)
    target, _ = toy(layer)
    target.layer.weight.data.copy_(wanted(algorithm, model))
    aim = target(x).detach()
    network = attach(model, None, "full", algorithm, options, seed=1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (model(x) - aim).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # rank 1, input scales and blocks of 4 rows cannot come much nearer
    assert losses[-1] < 0.92 * losses[0], (losses[0], losses[-1])

    network.eval()
    trained = (model(x) - aim).square().mean().item()  # as drawn, from the file's tensors
    tensors = {key.partition(".")[2]: value for key, value in network.tensors().items()}
    network.detach()
    weight = merged_weight(tensors, model.layer.weight.detach())
    model.layer.weight.data.copy_(weight)
    if algorithm != "full":  # which trains the bias too
        merged = (model(x) - aim).square().mean().item()
        assert merged == pytest.approx(trained, rel=1e-4)
