"""A training step asks no tensor of the device for its value, which a GPU would have to compute
first: on the meta device that is an error."""

import pytest
import torch

from lycoris_bench.adapters.attach import attach
from lycoris_bench.messages.errors import BenchError
from tests.support.forms import FORMS
from tests.support.toys import LAYERS, toy

CASES = [(algorithm, k) for algorithm, forms in FORMS.items() for k in range(len(forms))]


@pytest.mark.parametrize(("algorithm", "k"), CASES)
def test_a_step_and_its_bounds_wait_for_nothing(algorithm: str, k: int) -> None:
    for layer in LAYERS:
        model, x = toy(layer)
        model, x = model.to("meta"), x.to("meta")
        bounded = {"max_norm": 1.0}
        for more in ({}, bounded, {"rank_dropout": 0.5, "rank_dropout_scale": True}):
            options = {**FORMS[algorithm][k], **more}
            if more is bounded and not allowed(model, algorithm, options):
                continue
            network = attach(model, None, "full", algorithm, options, seed=7)
            model(x).sum().backward()
            assert all(p.grad is not None and p.grad.is_meta for p in network.parameters())
            bounds = network.constrain()
            assert (bounds is not None) == (more is bounded)
            network.detach()


def allowed(model: torch.nn.Module, algorithm: str, options: dict) -> bool:
    """Whether the algorithm has a bound on |ΔW|."""
    try:
        attach(model, None, "full", algorithm, options, seed=7).detach()
    except BenchError:
        return False
    return True
