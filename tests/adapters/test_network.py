"""Attaching to real classes: what is trained, what is left alone, and how training goes on."""

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.attach import AdapterNetwork, attach
from tests.support.forms import BUILT_IN, FORMS
from tests.support.toys import predict, randomise, toy

Models = tuple[nn.Module, nn.Module]
Batch = tuple[Tensor, Tensor, Tensor]
every_algorithm = pytest.mark.parametrize("algorithm", FORMS)


def state(models: Models) -> list[tuple[str, bytes, bool]]:
    return [
        (name, value.detach().numpy().tobytes(), value.requires_grad)
        for model in models
        for name, value in model.named_parameters()
    ]


def step(models: Models, batch: Batch, network: AdapterNetwork, steps: int = 1) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        predict(models, batch).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("algorithm", "preset"), [*((name, "full") for name in FORMS), ("lora", "attn-only")]
)
def test_attach_train_detach(models: Models, batch: Batch, algorithm: str, preset: str) -> None:
    models[1].embeddings.requires_grad_(False)  # a switch that must come back as it was
    before, structure = state(models), str(models)
    untouched = predict(models, batch)
    options = {"block_size": 8} if algorithm == "dylora" else {}  # all of it in each step
    network = attach(*models, preset, algorithm, options, seed=1)
    assert torch.equal(predict(models, batch), untouched)
    step(models, batch, network, 2)
    assert (predict(models, batch) - untouched).abs().max() > 1e-3
    moved = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # softmax does not see a shift of all logits: key biases have no gradient but rounding
    assert not [name for name in moved if "k_proj" not in name or not name.endswith("bias")]
    assert all(p.grad is None for model in models for p in model.parameters())
    network.detach()
    network.detach()
    assert state(models) == before and str(models) == structure
    assert torch.equal(predict(models, batch), untouched)


def draws(algorithm: str) -> bool:
    """Whether an adapter takes random numbers from its generator at the start."""
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    ALGORITHMS.get(algorithm)(torch.zeros(20, 12), None, generator)
    return not torch.equal(before, generator.get_state())


def test_some_algorithms_start_at_random() -> None:
    undrawn = {algorithm for algorithm in BUILT_IN if not draws(algorithm)}
    assert undrawn == {"full", "ia3", "diag-oft", "boft"}


@every_algorithm
def test_the_seed_alone_decides_the_start(models: Models, algorithm: str) -> None:
    def start(seed: int, noise: int) -> dict[str, bytes]:
        torch.default_generator.manual_seed(noise)
        network = attach(*models, "full", algorithm, {}, seed)
        network.detach()
        return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}

    first = start(1, noise=0)
    assert first == start(1, noise=1)
    assert (first == start(2, noise=0)) == (not draws(algorithm))


@every_algorithm
def test_a_state_continues_exactly(models: Models, batch: Batch, algorithm: str) -> None:
    network = attach(*models, "full", algorithm, {}, seed=1)
    step(models, batch, network)
    network.eval()  # dylora's steps draw a part
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    expected = predict(models, batch)
    network.detach()
    assert all(value.dtype == torch.float32 for value in kept.values())
    assert sum(value.numel() for value in kept.values()) == network.parameter_count
    other = attach(*models, "full", algorithm, {}, seed=2)
    other.eval().load_state_dict(kept)
    assert torch.equal(predict(models, batch), expected)


def test_native_training_is_plain_training(models: Models, batch: Batch) -> None:
    """AdamW with weight decay on the adapters equals AdamW on the model's own parameters."""
    network = attach(*models, "attn-mlp", "full", {}, seed=1)
    names = list(network.adapters)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        predict(models, batch).square().mean().backward()
        optimizer.step()
    trained = predict(models, batch)
    network.detach()
    plain = [
        p
        for prefix, model in zip(("lora_unet_", "lora_te_text_model_"), models, strict=True)
        for path, module in model.named_modules()
        if prefix + path.removeprefix("text_model.").replace(".", "_") in names
        for p in module.parameters()
    ]
    assert len(plain) == len(list(network.parameters()))
    optimizer = torch.optim.AdamW(plain, lr=1e-2, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        predict(models, batch).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(predict(models, batch), trained, rtol=1e-4, atol=1e-4)


def test_norms_of_the_full_preset_are_shifted(models: Models) -> None:
    network = attach(*models, "full", "lora", {}, seed=1)
    names = {key for key in network.tensors() if key.endswith(("w_norm", "b_norm"))}
    inside = [
        path
        for path, module in models[0].named_modules()
        if isinstance(module, nn.LayerNorm | nn.GroupNorm) and path != "conv_norm_out"
    ]
    assert names == {
        f"lora_unet_{path.replace('.', '_')}.{key}"
        for path in inside
        for key in ("w_norm", "b_norm")
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_base_in_half_precision_is_adapted_in_full_and_rounded_once(dtype: torch.dtype) -> None:
    model, _ = toy("linear")
    model.to(dtype)
    network = attach(model, None, "full", "lora", {"dim": 2, "alpha": 1}, seed=1)
    randomise(network)
    (adapter,) = network.adapters.values()
    up, down = (
        network.tensors()[f"{n}.lora_{k}.weight"] for n in network.adapters for k in ("up", "down")
    )
    expected = model.layer.weight.double() + 0.5 * (up.double() @ down.double())
    weight, bias = adapter(model.layer.weight, model.layer.bias)
    assert weight.dtype == dtype and bias is model.layer.bias
    half_a_step = torch.finfo(dtype).eps / 2
    torch.testing.assert_close(weight.double(), expected, rtol=1.01 * half_a_step, atol=1e-6)


def test_conv_dim_0_leaves_kernels_out(models: Models) -> None:
    for options, kernels in (({"conv_dim": 0}, False), ({}, True)):
        network = attach(*models, "full", "lora", options, seed=1)
        assert ("lora_unet_conv_in" in network.adapters) == kernels
        assert "lora_unet_time_embedding_linear_1" in network.adapters
        network.detach()


def test_refusals(models: Models) -> None:
    with pytest.raises(ValueError, match="lora with preset 'full' matches no layer of Identity"):
        attach(nn.Identity(), None, "full", "lora", {}, seed=1)
    with pytest.raises(ValueError, match="unknown adapter 'lorra'; did you mean 'lora'"):
        attach(*models, "full", "lorra", {}, seed=1)
    with pytest.raises(ValueError, match="dim is 0; a whole number from 1 to 65504 is allowed"):
        attach(*models, "full", "lora", {"dim": 0}, seed=1)
    network = attach(*models, "full", "lora", {}, seed=1)
    with pytest.raises(ValueError, match="already carries adapters"):
        attach(*models, "attn-only", "loha", {}, seed=1)
    network.detach()
    attach(*models, "attn-only", "loha", {}, seed=1).detach()


@pytest.mark.parametrize(("algorithm", "options", "sentence"), [
    ("lora", {"dim": 2.5}, "dim is 2.5; a whole number"),
    ("lora", {"dim": True}, "dim is True; a whole number"),
    ("lora", {"alpha": -1}, "alpha is -1; a number from 0 to 65504 is allowed"),
    ("lora", {"alpha": float("nan")}, "alpha is nan"),
    ("lora", {"alpha": "4"}, "alpha is '4'"),
    ("lora", {"dim": 0, "alpha": -1}, "dim is 0.*; alpha is -1"),
    ("loha", {"dims": 4}, "unknown option 'dims'; did you mean 'dim'"),
    ("lokr", {"factor": 0}, "factor is 0; a whole number from 1 to 65504 or -1 is allowed"),
    ("lokr", {"decompose_both": "False"}, "decompose_both is 'False'; true or false is allowed"),
    ("full", {"dim": 4}, "unknown option 'dim'"),
])  # fmt: skip
def test_options_out_of_range(algorithm: str, options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ALGORITHMS.get(algorithm).check(**options)
