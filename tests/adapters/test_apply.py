"""An adapter goes into a pipeline and out again, alone and among others."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.apply import apply_adapter
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.merge import AdapterMismatch
from lycoris_bench.messages.errors import BenchError
from tests.support import pipelines
from tests.support.toys import randomise


def adapter(models: pipelines.Models, algorithm: str, seed: int) -> dict[str, Tensor]:
    network = attach(models[0], models[1:], "attn-mlp", algorithm, {"dim": 2}, seed)
    randomise(network, seed)
    network.detach()
    return network.tensors()


@pytest.fixture
def models() -> pipelines.Models:
    return pipelines.sd()


@pytest.fixture
def pipeline(models: pipelines.Models) -> object:
    return pipelines.pipeline(models)


def weights(models: pipelines.Models) -> dict[tuple[int, str], Tensor]:
    return {
        (k, key): value.clone()
        for k, model in enumerate(models)
        for key, value in model.state_dict().items()
    }


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_in_and_out(models: pipelines.Models, pipeline: object, tmp_path: Path) -> None:
    network = attach(models[0], models[1:], "attn-mlp", "lora", {"dim": 2}, seed=1)
    randomise(network)
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    network.set_strength(0.7)
    network.eval()
    expected, base = pipelines.predict(models), weights(models)
    file = network.save(tmp_path / "toy.safetensors")
    network.detach()
    with apply_adapter(pipeline, file, strength=0.7) as applied:
        torch.testing.assert_close(pipelines.predict(models), expected, rtol=0, atol=1e-5)
        assert applied.report.matched == network.modules_matched
        assert applied.report.algorithms == ("lora",) and applied.report.unmatched == ()
        assert {block.split(".")[0] for block in applied.report.change} == {"unet", "text_encoder"}
    assert same(weights(models), base)
    applied.remove()  # again: nothing
    assert same(weights(models), base)


def test_a_denoiser_by_itself_takes_its_part(models: pipelines.Models, pipeline: object) -> None:
    """Under kohya's names, as the files of pipelines have them."""
    tensors = adapter(models, "lora", 1)
    with apply_adapter(pipeline, tensors):
        expected = weights(models[:1])
    with pytest.warns(UserWarning, match="applied in part.*lora_te_text_model"):
        applied = apply_adapter(models[0], tensors)
    assert same(weights(models[:1]), expected)
    assert "down_blocks.0" in applied.report.change
    applied.remove()


def test_several_add_up_and_leave_in_any_order(models: pipelines.Models, pipeline: object) -> None:
    base, first = weights(models), adapter(models, "lora", 1)
    second = adapter(models, "lokr", 2)
    one = apply_adapter(pipeline, first)
    of_first = weights(models)
    one.remove()
    two = apply_adapter(pipeline, second, 0.5)
    of_second = weights(models)
    one = apply_adapter(pipeline, first)
    assert one.report.algorithms == ("lora",), "its own report"
    both = weights(models)
    for key, value in base.items():
        expected = value + (of_first[key] - value) + (of_second[key] - value)
        torch.testing.assert_close(both[key], expected, rtol=1e-4, atol=1e-6)
    two.remove()
    assert same(weights(models), of_first)
    one.remove()
    assert same(weights(models), base)


def test_after_the_last_is_off_the_base_may_change(
    models: pipelines.Models, pipeline: object
) -> None:
    apply_adapter(pipeline, adapter(models, "lora", 1)).remove()
    with torch.no_grad():
        for parameter in models[0].parameters():
            parameter.add_(1)
    changed = weights(models)
    apply_adapter(pipeline, adapter(models, "lora", 1)).remove()
    assert same(weights(models), changed)


def test_what_is_left_out_is_named(models: pipelines.Models, pipeline: object) -> None:
    tensors = adapter(models, "lora", 1)
    stray = {"lora_unet_nowhere.lora_up.weight": torch.ones(2, 2),
             "lora_unet_nowhere.lora_down.weight": torch.ones(2, 2)}  # fmt: skip
    with pytest.warns(UserWarning, match="applied in part.*lora_unet_nowhere"):
        applied = apply_adapter(pipeline, {**tensors, **stray})
    assert applied.report.unmatched == ("lora_unet_nowhere",)
    with warnings.catch_warnings(action="error"):  # it is warned of once
        apply_adapter(pipeline, tensors).remove()
    applied.remove()


def test_a_failure_leaves_the_others(
    models: pipelines.Models, pipeline: object, tmp_path: Path
) -> None:
    first = apply_adapter(pipeline, adapter(models, "lora", 1))
    before = weights(models)
    wrong = {
        key: value[..., :3] if value.dim() else value
        for key, value in adapter(models, "lora", 1).items()
    }
    with pytest.raises(AdapterMismatch, match="made for another model or is damaged"):
        apply_adapter(pipeline, wrong)
    (tmp_path / "no.safetensors").write_bytes(b"no")
    with pytest.raises(AdapterFileError, match=r"no.safetensors"):
        apply_adapter(pipeline, tmp_path / "no.safetensors")
    with pytest.raises(BenchError, match="gone.safetensors cannot be read: No such file"):
        apply_adapter(pipeline, tmp_path / "gone.safetensors")
    assert same(weights(models), before)
    with pytest.raises(BenchError, match="applied to unet and text_encoder of this model"):
        apply_adapter(models[0], adapter(models, "lora", 1))
    first.remove()


def test_what_takes_no_adapter() -> None:
    with pytest.raises(BenchError, match="a str takes no adapter; give a diffusers pipeline"):
        apply_adapter("a pipeline", {})
    with torch.device("meta"):
        far = nn.Linear(2, 2)
    with pytest.raises(BenchError, match="load the model without offloading"):
        apply_adapter(far, {})
