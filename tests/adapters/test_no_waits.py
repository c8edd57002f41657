"""A training step asks no tensor of the device for its value, which a GPU would have to compute
first: on the meta device that is an error."""

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapters.attach import AdapterNetwork, attach
from lycoris_bench.messages.errors import BenchError
from tests.support.forms import FORMS
from tests.support.toys import LAYERS, toy

CASES = [(algorithm, k) for algorithm, forms in FORMS.items() for k in range(len(forms))]
DROPPED = {"rank_dropout": 0.5, "rank_dropout_scale": True}


@pytest.mark.parametrize(("algorithm", "k"), CASES)
def test_a_step_and_its_bounds_wait_for_nothing(algorithm: str, k: int) -> None:
    form = FORMS[algorithm][k]
    for layer in LAYERS:
        model, x = toy(layer)
        model, x = model.to("meta"), x.to("meta")
        try:
            bounded = attach(model, None, "full", algorithm, {**form, "max_norm": 1.0}, seed=7)
        except BenchError:  # it has no bound on |ΔW|
            step(model, x, attach(model, None, "full", algorithm, form, seed=7), False)
        else:
            step(model, x, bounded, True)
        step(model, x, attach(model, None, "full", algorithm, {**form, **DROPPED}, seed=7), False)


def step(model: torch.nn.Module, x: Tensor, network: AdapterNetwork, bounded: bool) -> None:
    model(x).sum().backward()
    assert all(p.grad is not None and p.grad.is_meta for p in network.parameters())
    assert (network.constrain() is not None) == bounded
    network.detach()
