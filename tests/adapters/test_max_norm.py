"""max_norm: after a step no |ΔW| is longer, and only its length has changed."""

import pytest
import torch

from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.norm import NormShift
from lycoris_bench.adapters.attach import attach
from tests.support.forms import FORMS
from tests.support.toys import randomise, toy

LIMIT = 0.01  # shorter than any change below
CASES = [
    pytest.param(algorithm, options, layer, id=f"{algorithm}{k}-{layer}")
    for algorithm, forms in FORMS.items()
    for k, options in enumerate(forms)
    for layer in ("linear", "conv3x3")
    if not options.get("dora_wd") and algorithm not in ("diag-oft", "boft")
]


@pytest.mark.parametrize(("algorithm", "options", "layer"), CASES)
def test_a_long_change_is_shortened(algorithm: str, options: dict, layer: str) -> None:
    model, _ = toy(layer)
    network = attach(model, None, "full", algorithm, {**options, "max_norm": LIMIT}, seed=7)
    randomise(network)
    (adapter,) = network.adapters.values()
    before = adapter.delta(model.layer.weight).detach()
    report = network.constrain().read()
    after = adapter.delta(model.layer.weight).detach()
    assert float(after.norm()) == pytest.approx(LIMIT, rel=1e-3)
    cosine = (before.double() * after).sum() / before.double().norm() / after.double().norm()
    assert float(cosine) == pytest.approx(1, abs=1e-6)
    assert report is not None and report.scaled == 1
    assert report.mean == report.largest == pytest.approx(LIMIT)
    again = network.constrain().read()  # what is short enough stays as it is, but for a rounding
    assert again is not None and again.largest == pytest.approx(LIMIT, rel=1e-4)
    tensors = {key.partition(".")[2]: value for key, value in network.tensors().items()}
    found = merged_weight(tensors, model.layer.weight.detach()) - model.layer.weight
    torch.testing.assert_close(found.detach(), after, rtol=1e-3, atol=1e-6)  # and so is the file


def test_a_short_change_is_left_alone() -> None:
    model, _ = toy("linear")
    network = attach(model, None, "full", "lora", {"dim": 2, "max_norm": 1e3}, seed=7)
    randomise(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = network.constrain().read()
    assert report is not None and report.scaled == 0 and report.largest > 0
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert attach(toy("linear")[0], None, "full", "lora", {}, seed=7).constrain() is None


def test_norm_layers_are_bounded_too() -> None:
    shift = NormShift(torch.ones(8))
    with torch.no_grad():
        shift.w_norm.copy_(torch.arange(8.0))
        shift.shrink(0.25)
    assert shift.delta(torch.ones(8)).tolist() == [k / 4 for k in range(8)]


@pytest.mark.parametrize("algorithm", ["diag-oft", "boft"])
def test_rotations_have_a_constraint_instead(algorithm: str) -> None:
    kind = ALGORITHMS.get(algorithm)
    with pytest.raises(ValueError, match=f"max_norm does not suit {algorithm}.*constraint"):
        kind.check(max_norm=1.0)
    kind.check(max_norm=None)


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr"])
def test_a_magnitude_of_its_own_has_no_bound(algorithm: str) -> None:
    kind = ALGORITHMS.get(algorithm)
    with pytest.raises(ValueError, match="max_norm bounds the length of ΔW, which dora_wd sets"):
        kind.check(dora_wd=True, max_norm=1.0)
    kind.check(dora_wd=False, max_norm=1.0)


@pytest.mark.parametrize(("algorithm", "shape"), [("diag-oft", (20, 12)), ("boft", (20, 12))])
def test_the_constraint_bounds_the_angle(algorithm: str, shape: tuple[int, int]) -> None:
    """|Q| <= ε · o over all blocks: beyond it the change stays the same however far blocks go."""
    kind = ALGORITHMS.get(algorithm)
    adapter = kind(torch.empty(shape), constraint=0.01, dim=10)
    weight = torch.randn(shape)
    with torch.no_grad():
        adapter.blocks.normal_()
        far = adapter.delta(weight)
        adapter.blocks.mul_(7)
        torch.testing.assert_close(adapter.delta(weight), far, rtol=1e-4, atol=1e-6)
        adapter.blocks.mul_(1e-4)
        free = kind(torch.empty(shape), dim=10)
        free.blocks.copy_(adapter.blocks)
        assert torch.equal(adapter.delta(weight), free.delta(weight))  # within the bound
