"""A converted file means the same, to this program and to those it is written for."""

import functools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapters import merged_bias, merged_weight
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.merge import Merger
from tests.support import tiny_files as tiny

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the tiny model, which no test changes."""
    return str(tiny.folder(tmp_path_factory.mktemp("tiny") / "base", tiny.models()))


def weights(pair: tiny.Models) -> Weights:
    return {f"{n}.{k}": v for n, m in enumerate(pair) for k, v in m.state_dict().items()}


BEFORE = functools.cache(lambda: weights(tiny.models()))


def merged(path: Path, strength: float = 1.0) -> Weights:
    """The tiny model's weights with the file merged."""
    pair = tiny.models()
    report = Merger(*pair).merge(adapter_file.read(path)[0], strength)
    assert not report.unmatched
    return weights(pair)


def same(one: Weights, two: Weights, most: float) -> None:
    before = BEFORE()
    moved = 0
    for key, value in one.items():
        change = float((value - before[key]).norm())
        assert float((two[key] - value).norm()) <= most * change + 1e-6, key
        moved += change > 0
    assert moved > 20


@pytest.mark.parametrize("layout", ["kohya", "compvis", "comfyui"])
@pytest.mark.parametrize("algorithm", ["lora", "lokr", "full"])
def test_renaming_changes_nothing(tmp_path: Path, base: str, layout: str, algorithm: str) -> None:
    preset = "unet-only" if layout != "kohya" else "full"
    file = tiny.adapter(tmp_path / "a", tiny.models(), algorithm, preset, size=0.02)
    found = convert(file, tmp_path / "out", layout, base)
    assert adapter_file.layout_of(tmp_path / "out") == layout
    assert f"{len(adapter_file.by_layer(adapter_file.read(file)[0]))} layers" in found["text"]
    same(merged(file), merged(tmp_path / "out"), 0)
    convert(tmp_path / "out", tmp_path / "back", "kohya", base)
    assert adapter_file.read(tmp_path / "back")[0].keys() == adapter_file.read(file)[0].keys()


def test_diffusers_loads_what_is_written_for_it(tmp_path: Path, base: str) -> None:
    pair = tiny.models()
    file = tiny.adapter(tmp_path / "a", pair, "lora", "unet-transformer-only", dim=2)
    convert(file, tmp_path / "out.safetensors", "diffusers", base)
    from safetensors.torch import load_file

    state = load_file(tmp_path / "out.safetensors")
    pair[0].load_lora_adapter(state, prefix="unet")
    pair[0].fuse_lora()
    wanted = merged(file)
    found = 0
    for key, value in pair[0].state_dict().items():
        plain = key.replace(".base_layer", "")
        if ".lora_" not in key:
            assert torch.allclose(value, wanted[f"0.{plain}"], atol=1e-4), key
            found += 1
    assert found > 100


@pytest.mark.parametrize("algorithm", ["lora", "loha"])
def test_peft_loads_what_is_written_for_it(tmp_path: Path, base: str, algorithm: str) -> None:
    from peft import PeftModel

    pair = tiny.models()
    file = tiny.adapter(tmp_path / "a", pair, algorithm, "unet-transformer-only", dim=2)
    convert(file, tmp_path / "out", "peft", base)
    loaded = PeftModel.from_pretrained(pair[0], tmp_path / "out" / "unet").merge_and_unload()
    wanted = merged(file)
    for key, value in loaded.state_dict().items():
        assert torch.allclose(value, wanted[f"0.{key}"], atol=1e-4), key
    same(wanted, merged(tmp_path / "out"), 2e-3)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [("loha", {"dim": 2}), ("lokr", {"factor": 2}), ("lora", {"dora_wd": True}), ("full", {})],
)
def test_portable_is_plain_lora(
    tmp_path: Path, base: str, algorithm: str, options: dict[str, int]
) -> None:
    file = tiny.adapter(
        tmp_path / "a", tiny.models(), algorithm, "unet-transformer-only", **options
    )
    found = convert(file, tmp_path / "out", "portable", base)
    names = {key.split(".", 1)[1] for key in adapter_file.read(tmp_path / "out")[0]}
    assert names == {"lora_up.weight", "lora_down.weight", "alpha"} and found["error"] < 5e-4
    layers = adapter_file.by_layer(adapter_file.read(file)[0])
    one, two = merged(file), merged(tmp_path / "out")
    biases = {key for key in one if key.endswith(".bias")}
    same({k: v for k, v in one.items() if k not in biases}, two, 4e-3)
    assert (found["status"], len(found["left_out"])) == (
        (1, sum("diff_b" in own for own in layers.values())) if algorithm == "full" else (0, 0)
    )


def test_a_portable_rank_tells_its_error(tmp_path: Path, base: str) -> None:
    file = tiny.adapter(tmp_path / "a", tiny.models(), "lokr", "unet-transformer-only", factor=2)
    found = convert(file, tmp_path / "out", "portable", base, rank=3)
    name = "lora_unet_mid_block_attentions_0_proj_in"
    delta = merged_weight(
        adapter_file.by_layer(adapter_file.read(file)[0])[name], torch.zeros(32, 32, 1, 1)
    )
    values = torch.linalg.svdvals(delta.flatten(1).double())
    share = float(values[3:].norm() / values.norm())
    row = found["layers"][name]
    assert row["rank"] == 3 and row["error"] == pytest.approx(share, rel=1e-3)
    assert row["norm"] == pytest.approx(float(values.norm()), rel=1e-3)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("lora", {"dora_wd": True}),
        ("boft", {"dim": 4}),
        ("ia3", {}),
        ("loha", {"use_tucker": True}),
    ],
)
def test_full_is_the_difference(
    tmp_path: Path, base: str, algorithm: str, options: dict[str, object]
) -> None:
    preset = "unet-transformer-only" if algorithm == "boft" else "unet-only"
    file = tiny.adapter(tmp_path / "a", tiny.models(), algorithm, preset, size=0.05, **options)
    found = convert(file, tmp_path / "out", "full", base)
    assert {key.split(".", 1)[1] for key in adapter_file.read(tmp_path / "out")[0]} == {"diff"}
    same(merged(file), merged(tmp_path / "out"), 2e-3)
    assert 0 < found["error"] < 2e-3  # half precision
    same(merged(file, 0.3), merged(tmp_path / "out", 0.3), 2e-3)


def test_full_without_a_model_keeps_names_norms_and_biases(tmp_path: Path) -> None:
    file = tiny.adapter(tmp_path / "a", tiny.models(), "lora", "full", dim=2)
    convert(file, tmp_path / "out", "full")
    before, after = (
        adapter_file.by_layer(adapter_file.read(f)[0]) for f in (file, tmp_path / "out")
    )
    assert before.keys() == after.keys()
    for name, tensors in before.items():
        if "w_norm" in tensors:
            assert torch.equal(after[name]["w_norm"], tensors["w_norm"])
            assert torch.equal(after[name]["b_norm"], tensors["b_norm"])
        else:
            wanted = merged_weight(tensors, torch.zeros_like(after[name]["diff"]).float())
            assert torch.allclose(after[name]["diff"].float(), wanted, atol=2e-3)
            assert merged_bias(after[name], torch.zeros(3)).sum() == 0


def test_what_cannot_be_said_is_a_sentence(tmp_path: Path, base: str) -> None:
    pair = tiny.models()
    dora = tiny.adapter(tmp_path / "dora", pair, "lora", "attn-only", dora_wd=True)
    lora = tiny.adapter(tmp_path / "lora", pair, "lora", "attn-only")
    with pytest.raises(NeedsModel, match="names of comfyui are made .*: give --model"):
        convert(lora, tmp_path / "out", "comfyui")
    with pytest.raises(NeedsModel, match="give --model"):
        convert(dora, tmp_path / "out", "full")
    with pytest.raises(AdapterFileError, match="diffusers reads plain LoRA alone"):
        convert(dora, tmp_path / "out", "diffusers", base)
    with pytest.raises(ValueError, match="--rank is for --to portable, not for kohya"):
        convert(lora, tmp_path / "out", "kohya", rank=2)
    with pytest.raises(ValueError, match="--to is 'webui'; allowed are"):
        convert(lora, tmp_path / "out", "webui")
    assert not (tmp_path / "out").exists()
