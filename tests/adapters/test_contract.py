"""What every algorithm owes, for each one that the registry finds and each kind of layer."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.options import LIMITS
from lycoris_bench.adapters.attach import AdapterNetwork, attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.merge import Merger
from tests.support.forms import FORMS
from tests.support.toys import LAYERS, Toy, randomise, toy

CASES = [
    pytest.param(algorithm, options, id=f"{algorithm}{k}")
    for algorithm, forms in FORMS.items()
    for k, options in enumerate(forms)
]
UNSAVED = ("scalar",)  # folded into a factor


def contract(test: Callable[..., None]) -> Callable[..., None]:
    """Holds for every form of every algorithm, on every kind of layer; a failure names that."""
    files = {"tmp_path"} & signature(test).parameters.keys()

    def on_every_layer(algorithm: str, options: dict, request: pytest.FixtureRequest) -> None:
        more = {name: request.getfixturevalue(name) for name in files}
        for layer in LAYERS:
            try:
                test(algorithm, options, layer, **more)
            except BaseException as failure:
                failure.add_note(f"on the layer {layer}")
                raise

    on_every_layer.__doc__ = test.__doc__
    return pytest.mark.parametrize(("algorithm", "options"), CASES)(on_every_layer)


def adapted(algorithm: str, options: dict, layer: str) -> tuple[Toy, Tensor, AdapterNetwork]:
    model, x = toy(layer)
    network = attach(model, None, "full", algorithm, options, seed=7)
    return model, x, network.eval()


@contract
def test_identity_at_the_start(algorithm: str, options: dict, layer: str) -> None:
    base, x = toy(layer)
    model, _, _ = adapted(algorithm, options, layer)
    assert torch.equal(model(x), base(x))


@contract
def test_gradients_reach_every_adapter_tensor_and_no_other(
    algorithm: str, options: dict, layer: str
) -> None:
    model, x, network = adapted(algorithm, options, layer)
    randomise(network)  # a factor that starts at zero blocks the other's gradient
    network.train()
    model(x).square().mean().backward()
    assert list(network.parameters())
    for name, parameter in network.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())


@contract
def test_gradients_are_those_of_finite_differences(
    algorithm: str, options: dict, layer: str
) -> None:
    model, x, network = adapted(algorithm, options, layer)
    randomise(network)
    model(x).square().sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            direction = torch.randn(parameter.shape) / parameter.numel() ** 0.5
            values = []
            for step in (1e-2, -2e-2):
                parameter.add_(direction, alpha=step)
                values.append(float(model(x).double().square().sum()))
            parameter.add_(direction, alpha=1e-2)
            slope = float((parameter.grad * direction).sum())
            assert (values[0] - values[1]) / 2e-2 == pytest.approx(slope, rel=2e-2, abs=0.05)


@contract
def test_merged_equals_adapted(algorithm: str, options: dict, layer: str) -> None:
    """But for last digits, as merging adds factors without making ΔW (test_adding.py)."""
    model, x, network = adapted(algorithm, options, layer)
    randomise(network)
    base = toy(layer)[0](x)
    for strength in (1.0, 0.35):
        network.set_strength(strength)
        trained = model(x)
        assert (trained - base).abs().max() > 1e-3
        merged, _ = toy(layer)
        Merger(merged).merge(network.tensors(), strength)
        torch.testing.assert_close(merged(x), trained, rtol=1e-5, atol=2e-6)


@contract
def test_a_training_step_computes_what_is_merged(algorithm: str, options: dict, layer: str) -> None:
    """By whichever way is the cheapest: values and gradients are those of the merged weight, whose
    own way evaluation takes."""
    found = []
    for strength in (1.0, 0.35):
        for training in (True, False):
            model, x, network = adapted(algorithm, options, layer)
            randomise(network)
            network.set_strength(strength)
            network.train(training and algorithm != "dylora")  # whose steps train a part
            y = model(x.requires_grad_())
            y.square().mean().backward()
            found.append([y.detach(), x.grad, *(p.grad for p in network.parameters())])
        for quick, plain in zip(*found[-2:], strict=True):
            torch.testing.assert_close(quick, plain, rtol=1e-4, atol=1e-5)


@contract
def test_strength_0_is_the_base(algorithm: str, options: dict, layer: str) -> None:
    base, x = toy(layer)
    model, _, network = adapted(algorithm, options, layer)
    randomise(network)
    network.set_strength(0)
    assert torch.equal(model(x), base(x))
    merged, _ = toy(layer)
    for model in (base, merged):
        model.layer.weight.data[0] = -0.0  # adding 0 would turn its sign
    Merger(merged).merge(network.tensors(), 0.0)
    for name, value in merged.state_dict().items():
        assert value.numpy().tobytes() == base.state_dict()[name].numpy().tobytes()


@contract
def test_through_a_file_and_back(algorithm: str, options: dict, layer: str, tmp_path: Path) -> None:
    _, _, network = adapted(algorithm, options, layer)
    randomise(network)
    (tmp_path / "a.safetensors").write_bytes(
        adapter_file.to_bytes(network.tensors(), {"ss_seed": "7"})
    )
    tensors, metadata = adapter_file.read(tmp_path / "a.safetensors")
    assert metadata["ss_seed"] == "7"
    assert tensors.keys() == network.tensors().keys()
    for key, value in network.tensors().items():
        assert key.startswith("lora_unet_down_blocks_0_layer.")
        exact = value.dim() == 0 or adapter_file.is_exact(key)
        wanted = value.numpy() if exact else value.numpy().astype(np.float16)
        np.testing.assert_array_equal(tensors[key].numpy(), wanted)
    found = {key.partition(".")[2]: value for key, value in tensors.items()}
    kind = ALGORITHMS.get(algorithm)
    known = adapter_file.recognise(found)
    if kind.marks:
        assert known == (algorithm, kind)
    else:  # trained in its own way, but a file of another
        assert known is not None and known[1].names == kind.names


@contract
def test_the_count_is_that_of_the_numbers_in_the_file(
    algorithm: str, options: dict, layer: str
) -> None:
    _, _, network = adapted(algorithm, options, layer)
    constant = {"alpha", *ALGORITHMS.get(algorithm).integers}  # not trained
    stored = {k: v for k, v in network.tensors().items() if k.partition(".")[2] not in constant}
    unsaved = sum(name.endswith(UNSAVED) for name, _ in network.named_parameters())
    assert network.parameter_count - unsaved == sum(value.numel() for value in stored.values())
    assert network.modules_matched == 1


@contract
def test_training_under_autocast(algorithm: str, options: dict, layer: str) -> None:
    model, x, network = adapted(algorithm, options, layer)
    randomise(network)
    exact = model(x)
    (adapter,) = network.adapters.values()
    weight = adapter(model.layer.weight)[0].detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(x)
        assert torch.equal(adapter(model.layer.weight)[0], weight)  # in fp32 all the same
    assert rough.dtype == torch.bfloat16
    error = (rough.float() - exact).norm() / exact.norm()
    assert 0 < error < 2**-7  # bfloat16 has 8 bits
    rough.float().square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() > 0


@pytest.mark.parametrize("algorithm", FORMS)
def test_every_option_has_a_default_within_its_range(algorithm: str) -> None:
    kind = ALGORITHMS.get(algorithm)
    assert kind.options().keys() == {*kind.defaults(), *LIMITS}
    kind.check(**kind.defaults())
    with pytest.raises(TypeError, match="dmi"):
        kind(torch.zeros(20, 12), dmi=3)
