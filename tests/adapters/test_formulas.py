"""Every algorithm, form and kind of layer against formulas.py: values, gradients, strengths."""

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.base import Adapter
from tests.support import formulas
from tests.support.forms import BUILT_IN

SHAPES = {"linear": (20, 12), "kernel": (20, 12, 3, 2), "1x1": (20, 12, 1, 1), "1d": (20, 12, 3)}
CASES = [
    pytest.param(algorithm, options, shape, id=f"{algorithm}{k}-{name}")
    for algorithm, forms in BUILT_IN.items()
    for k, options in enumerate(forms)
    for name, shape in SHAPES.items()
]
every_case = pytest.mark.parametrize(("algorithm", "options", "shape"), CASES)


def moved(algorithm: str, options: dict, shape: tuple[int, ...]) -> tuple[Adapter, Tensor]:
    """An adapter away from its start, as a training leaves it, and its layer's weight."""
    torch.default_generator.manual_seed(4)
    weight = torch.randn(shape) / 3
    adapter = ALGORITHMS.get(algorithm)(weight, None, **options)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return adapter, weight


def relative(found: Tensor, wanted: Tensor) -> float:
    found, wanted = found.detach().double(), wanted.detach().double()
    return float((found - wanted).norm() / wanted.norm())


@every_case
def test_change_and_gradients(algorithm: str, options: dict, shape: tuple[int, ...]) -> None:
    adapter, weight = moved(algorithm, options, shape)
    direction = torch.randn(shape)
    wanted = formulas.change(adapter.tensors(), weight)
    expected = torch.autograd.grad((wanted * direction).sum(), list(adapter.parameters()))
    found = adapter.delta(weight)
    assert found.dtype == torch.float32 and found.shape == weight.shape
    assert relative(found, wanted) < 1e-6
    gradients = torch.autograd.grad((found * direction).sum(), list(adapter.parameters()))
    for gradient, exact in zip(gradients, expected, strict=True):
        assert relative(gradient, exact) < 1e-5


@every_case
def test_merged_weight(algorithm: str, options: dict, shape: tuple[int, ...]) -> None:
    """From names and shapes alone, of half-precision tensors and weights, at every strength."""
    adapter, weight = moved(algorithm, options, shape)
    for dtype, rounding in (
        (torch.float32, 2e-7),
        (torch.float16, 2**-11),
        (torch.bfloat16, 2**-8),
    ):
        tensors = {
            name: value.detach().to(dtype if value.is_floating_point() else value.dtype)
            for name, value in adapter.tensors().items()
        }
        base = weight.to(dtype)
        change = formulas.change(tensors, base)
        for strength in (1.0, 0.35, 0.0, -1.0):
            found = merged_weight(tensors, base, strength)
            assert found.dtype == dtype
            assert relative(found, base.double() + strength * change) < 2 * rounding, strength
            assert strength or torch.equal(found, base)


@every_case
def test_without_alpha_or_with_0_the_ratio_is_1(
    algorithm: str, options: dict, shape: tuple[int, ...]
) -> None:
    adapter, weight = moved(algorithm, options, shape)
    without = {k: v.detach() for k, v in adapter.tensors().items() if k != "alpha"}
    of_0 = {**without, "alpha": torch.tensor(0.0)} if "alpha" in adapter.tensors() else without
    for tensors in (without, of_0):
        found = merged_weight(tensors, weight) - weight
        assert relative(found, formulas.change(tensors, weight)) < 1e-5


@pytest.mark.parametrize(("name", "shape", "blocks"), [
    ("oft_diag", (20, 12, 3, 3), (5, 4, 4)),
    ("oft_in.weight", (20, 12), (3, 4, 4)),
    ("oft_in.weight", (20, 12, 3, 3), (3, 4, 4)),  # channels
    ("oft_in.weight", (20, 12, 3, 3), (12, 9, 9)),  # unrolled inputs
])  # fmt: skip
def test_rotations_that_files_hold_as_they_are(
    name: str, shape: tuple[int, ...], blocks: tuple[int, ...]
) -> None:
    torch.default_generator.manual_seed(2)
    weight = torch.randn(shape)
    rotations = torch.linalg.qr(torch.randn(blocks)).Q
    found = merged_weight({name: rotations}, weight)
    wanted = weight.double() + formulas.change({name: rotations}, weight)
    assert relative(found, wanted) < 1e-6
    assert float(found.norm()) == pytest.approx(float(weight.norm()), rel=1e-5)
    layer, x = nn.Linear(12, 20, bias=False), torch.randn(7, 12)
    if name == "oft_in.weight" and len(shape) == 2:
        layer.weight.data.copy_(weight)
        turned = layer(x @ torch.block_diag(*rotations))
        torch.testing.assert_close(x @ found.T, turned, rtol=1e-4, atol=1e-5)


def test_small_rotations_keep_their_digits() -> None:
    """W' - W of an angle of 1e-6: as a difference of two weights it would have one digit."""
    for name, shape in (("oft_blocks", (5, 4, 4)), ("oft_blocks", (2, 2, 10, 10))):
        weight = torch.randn(20, 12)
        tensors = {name: 1e-6 * torch.randn(shape)}
        kind = ALGORITHMS.get("boft" if len(shape) == 4 else "diag-oft")
        found = kind.delta_from(tensors, weight)
        assert relative(found, formulas.change(tensors, weight)) < 1e-6


def test_glora_of_the_old_layout() -> None:
    """LyCORIS 1.x: a1 (r, i), a2 (i, r), b1 (r, i·k²), b2 (o, r); the same change."""
    swap = {"a1": "a2", "a2": "a1", "b1": "b2", "b2": "b1"}
    for shape in ((20, 12), (20, 12, 3, 3), (12, 12), (12, 3)):
        adapter, weight = moved("glora", {"dim": 3, "alpha": 2}, shape)
        tensors = {name: value.detach() for name, value in adapter.tensors().items()}
        old = {f"{swap[name[:2]]}.weight": v for name, v in tensors.items() if name != "alpha"}
        old["alpha"] = tensors["alpha"]
        assert torch.equal(merged_weight(old, weight), merged_weight(tensors, weight))
    for name in swap:  # o = i = dim tells nothing: the present layout
        tensors[f"{name}.weight"] = torch.randn(3, 3)
    weight = torch.randn(3, 3)
    found = merged_weight(tensors, weight) - weight
    assert relative(found, formulas.change(tensors, weight)) < 1e-5
