"""Merging into real classes: in place, from the base, all or named, never in silence."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.matching import AdapterMismatch
from lycoris_bench.adapters.merge import Merger
from tests.support.forms import FORMS
from tests.support.toys import predict, randomise, toy

Models = tuple[nn.Module, nn.Module]
Batch = tuple[Tensor, Tensor, Tensor]
every_algorithm = pytest.mark.parametrize("algorithm", FORMS)
LAYER = "lora_unet_down_blocks_0_layer"


def trained(models: Models, algorithm: str, preset: str, seed: int = 1) -> dict[str, Tensor]:
    network = attach(*models, preset, algorithm, {}, seed)
    randomise(network, seed, size=0.05)
    network.detach()
    return network.tensors()


def weights(*models: nn.Module) -> dict[str, bytes]:
    return {
        f"{k}.{name}": value.detach().numpy().tobytes()
        for k, model in enumerate(models)
        for name, value in model.state_dict().items()
    }


def lora(**changes: Tensor) -> dict[str, Tensor]:
    """A LoRA of rank 2 for the layer of the linear toy: 12 inputs, 20 outputs."""
    torch.default_generator.manual_seed(4)
    names = {"lora_up.weight": torch.randn(20, 2), "lora_down.weight": torch.randn(2, 12)}
    return {f"{LAYER}.{name}": value for name, value in names.items()} | changes


@every_algorithm
def test_a_merged_model_predicts_as_the_trained_one(
    models: Models, batch: Batch, algorithm: str
) -> None:
    """All layers at once, norms and biases among them."""
    network = attach(*models, "full", algorithm, {}, seed=1)
    randomise(network.eval(), size=0.05)
    expected = predict(models, batch)
    network.detach()
    base = predict(models, batch)
    report = Merger(*models).merge(network.tensors())
    torch.testing.assert_close(predict(models, batch), expected, rtol=0, atol=1e-5)
    assert (expected - base).abs().max() > 0.01
    assert report.matched == network.modules_matched and report.unmatched == ()
    written = {"dylora": "lora"}.get(algorithm, algorithm)
    assert report.algorithms == tuple(sorted([written, "norm"]))


@every_algorithm
def test_every_merge_starts_at_the_base_in_the_same_storage(models: Models, algorithm: str) -> None:
    base = weights(*models)
    places = [p.data_ptr() for model in models for p in model.parameters()]
    first, second = trained(models, algorithm, "full", 1), trained(models, "lora", "attn-only", 2)
    merger = Merger(*models)
    merger.merge(second)
    alone = weights(*models)
    assert alone != base
    merger.merge(first)
    assert weights(*models) not in (alone, base)
    merger.merge(second)
    assert weights(*models) == alone  # also where only the first changed a layer
    merger.merge(first, strength=0.0)
    assert weights(*models) == base
    merger.merge(first, strength=-0.5)
    merger.restore()
    assert weights(*models) == base
    assert [p.data_ptr() for model in models for p in model.parameters()] == places


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("strength", [1.0, 0.3, -2.0])
def test_arithmetic_is_fp32_and_rounds_once(dtype: torch.dtype, strength: float) -> None:
    model, _ = toy("linear")
    model.to(dtype)
    base = model.layer.weight.detach().double()
    tensors = {key: value.half() for key, value in lora().items()}
    up, down = (value.double() for value in tensors.values())
    Merger(model).merge({**tensors, f"{LAYER}.alpha": torch.tensor(1.0).half()}, strength)
    expected = base + strength * 0.5 * up @ down
    half_a_step = torch.finfo(dtype).eps / 2 if dtype != torch.float32 else 1e-6
    found = model.layer.weight.detach().double()
    torch.testing.assert_close(found, expected, rtol=1.01 * half_a_step, atol=1e-6)


def test_the_report_measures_the_change(models: Models) -> None:
    """Against numpy: |strength · ΔW| / |W| over the layers of a block, in float64."""
    before = {name: p.detach().clone() for name, p in models[0].named_parameters()}
    tensors = trained(models, "lora", "attn-mlp")
    report = Merger(*models).merge(tensors, strength=0.7)
    assert sorted(report.change) == [
        "text_encoder.layers.0", "text_encoder.layers.1",
        "unet.down_blocks.0", "unet.mid_block", "unet.up_blocks.1",
    ]  # fmt: skip
    change, size = [], []
    for name, parameter in models[0].named_parameters():
        layer = f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}"
        if name.startswith("mid_block") and f"{layer}.alpha" in tensors and "weight" in name:
            difference = (parameter - before[name]).detach().double().numpy()
            change.append(np.square(difference).sum())
            size.append(np.square(before[name].double().numpy()).sum())
    expected = np.sqrt(sum(change) / sum(size))
    assert report.change["unet.mid_block"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("layer", "text", "spelling"), [
    (LAYER, False, "lycoris_down_blocks_0_layer"),
    (LAYER, False, "lycoris_unet_down_blocks_0_layer"),
    ("lora_te_text_model_encoder_layers_0_mlp_fc1", True, "lora_te_encoder_layers_0_mlp_fc1"),
    ("lora_te_text_model_encoder_layers_0_mlp_fc1", True, "lycoris_encoder_layers_0_mlp_fc1"),
    ("lora_te_text_model_encoder_layers_0_mlp_fc1", True,
     "lycoris_text_model_encoder_layers_0_mlp_fc1"),
])  # fmt: skip
def test_other_spellings(models: Models, layer: str, text: bool, spelling: str) -> None:
    unet: nn.Module = toy("linear")[0]
    pair = models if text else (unet, models[1])
    o, i = (32, 16) if text else (20, 12)
    shapes = {"lora_up.weight": (o, 2), "lora_down.weight": (2, i)}
    results = []
    for name in (layer, spelling):
        merger = Merger(*pair)
        merger.merge({f"{name}.{key}": torch.ones(shape) for key, shape in shapes.items()})
        results.append(weights(*pair))
        merger.restore()
    assert results[0] == results[1] != weights(*pair)


def test_factors_of_a_1x1_convolution_as_matrices_or_not() -> None:
    results = []
    for extra in ((), (1, 1)):
        model, _ = toy("conv1x1")
        Merger(model).merge({key: v.reshape(*v.shape, *extra) for key, v in lora().items()})
        results.append(weights(model))
    assert results[0] == results[1] != weights(toy("conv1x1")[0])


def test_no_match_is_an_error_that_shows_both_sides() -> None:
    model, _ = toy("linear")
    base = weights(model)
    stranger = {f"lora_unet_input_blocks_{key}": v for key, v in lora().items()}
    merger = Merger(model)
    for tensors in (stranger, {}):
        merger.merge(lora())
        with pytest.raises(AdapterMismatch, match="matches no layer.*the model has unet.down_bl"):
            merger.merge(tensors)
        assert weights(model) == base


def test_a_partial_match_names_what_was_left_out() -> None:
    model, _ = toy("linear")
    extra = {f"lora_unet_other.{key.partition('.')[2]}": value for key, value in lora().items()}
    with pytest.warns(UserWarning, match="1 of its 2 layers .*: lora_unet_other$"):
        report = Merger(model).merge({**lora(), **extra})
    assert report.matched == 1 and report.unmatched == ("lora_unet_other",)


@pytest.mark.parametrize("name", ["magnitude", "lora_mid.bias", "scalar"])
def test_a_tensor_that_would_be_ignored_keeps_its_layer_out(name: str) -> None:
    """Others leave a magnitude or a core out and publish a half-applied adapter."""
    model, _ = toy("linear")
    with pytest.raises(AdapterMismatch, match="matches no layer"):
        Merger(model).merge({**lora(), f"{LAYER}.{name}": torch.ones(1)})


@pytest.mark.parametrize("changes", [
    {"lora_up.weight": torch.ones(21, 2)},
    {"lora_up.weight": torch.ones(20, 3)},
    {"lora_down.weight": torch.ones(2, 13)},
])  # fmt: skip
def test_another_shape_is_an_error_and_restores_the_base(changes: dict[str, Tensor]) -> None:
    model, _ = toy("linear")
    base, merger = weights(model), Merger(model)
    merger.merge(lora())
    with pytest.raises(AdapterMismatch, match=f"another model or is damaged: {LAYER}"):
        merger.merge(lora(**{f"{LAYER}.{name}": value for name, value in changes.items()}))
    assert weights(model) == base


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_never_reach_the_model(value: float) -> None:
    model, _ = toy("linear")
    base, tensors = weights(model), lora()
    tensors[f"{LAYER}.lora_up.weight"][3, 1] = value
    with pytest.raises(AdapterMismatch, match=r"its change of unet\.down_blocks\.0 is not finite"):
        Merger(model).merge(tensors)
    assert weights(model) == base


def test_a_missing_factor_a_foreign_bias_and_one_layer_twice() -> None:
    model, _ = toy("conv1x1")  # has no bias
    with pytest.raises(AdapterMismatch, match=f"{LAYER}.*lora_down"):
        Merger(model).merge({f"{LAYER}.lora_up.weight": torch.ones(20, 2)})
    full = {f"{LAYER}.diff": torch.ones(20, 12, 1, 1), f"{LAYER}.diff_b": torch.ones(20)}
    with pytest.raises(
        AdapterMismatch, match=r"a bias update \(diff_b\) but this layer has no bias"
    ):
        Merger(model).merge(full)
    twin = {key.replace("lora_unet_", "lycoris_"): value for key, value in lora().items()}
    with pytest.raises(AdapterMismatch, match=f"under two names: '{LAYER}'"):
        Merger(model).merge({**lora(), **twin})
