"""An algorithm of one file outside the package (tests/support/plugins/vera.py), found as a plug-in:
trained, saved, read, and through every tool, with values by its formula and true sentences.

Its tensors do not show how many inputs a layer has, and it offers no short form of ΔW: the tools
have but the defaults of knowledge.py."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lycoris_bench import registry
from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.inspect import inspect
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.adapter_tools.verify import verify
from lycoris_bench.adapter_tools.weights_on_disk import ModelFiles, open_model
from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.training.loop import train
from tests.support.copies import copied
from tests.support.forms import VERA

OPTIONS = {"dim": 4, "projection_seed": 11}
Changes = dict[tuple[str, str], Tensor]
pytestmark = pytest.mark.usefixtures("plugged")


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.PLUGINS, "")
    registry.load_plugin(VERA)


@pytest.fixture(scope="module")
def trained(kept_world: Any, training: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps of training with it on the tiny Stable Diffusion, as a file that stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.PLUGINS, "")
        registry.load_plugin(VERA)
        return _trained(kept_world, training, tmp_path_factory.mktemp("trained") / "vera")


def _trained(world: Any, training: Any, file: Path) -> Path:
    backbone, data, cache = world
    backbone = copied(backbone)
    network = attach(backbone.unet, backbone.text_encoder, "attn-mlp", "vera", OPTIONS, seed=3)
    kept: dict[str, Tensor] = {}
    losses: list[float] = []
    train(
        backbone, network, data, cache, training, seed=3, epochs=[1], lr=0.05,
        on_epoch=lambda epoch, network, record: kept.update(network.tensors()),
        on_step=lambda done, total, loss: losses.append(loss),
    )  # fmt: skip
    network.detach()
    assert len(losses) > 2 and all(kept[name].any() for name in kept if name.endswith("_b"))
    about = adapter_file.metadata(algorithm="vera", preset="attn-mlp", options=OPTIONS)
    file.write_bytes(adapter_file.to_bytes(kept, about))
    return file


def formula(own: dict[str, Tensor], inputs: int) -> Tensor:
    """diag(b) · B · diag(d) · A in float64, entry by entry; the draws are the file's."""
    draws = torch.Generator().manual_seed(11)
    a = torch.randn(4, inputs, generator=draws).double()
    b = torch.randn(len(own["vera_lambda_b"]), 4, generator=draws).double()
    left, middle = own["vera_lambda_b"].double(), own["vera_lambda_d"].double()
    return torch.einsum("o,or,r,ri->oi", left, b, middle, a)


def wanted(file: Path, base: ModelFiles) -> Changes:
    """Layer -> ΔW by the formula."""
    found = {}
    for name, own in adapter_file.by_layer(adapter_file.read(file)[0]).items():
        place = base.directory.find(name)
        assert place is not None
        shape = base.shape(*place)
        found[place] = formula(own, shape[1:].numel()).reshape(shape)
    return found


def made(file: Path, base: ModelFiles) -> Changes:
    """Layer -> ΔW of any file, in float64."""
    layers = adapter_file.by_layer(adapter_file.read(file)[0])
    places = {name: base.directory.find(name) for name in layers}
    return {
        place: changes(own, base.read(*place), torch.float64)[0]
        for name, own in layers.items()
        if (place := places[name])
    }


def assert_close(found: Changes, right: Changes, share: float) -> None:
    """Every layer is there, off by this share of its length at most."""
    assert found.keys() == right.keys() and right
    for place, value in right.items():
        error = (found[place].reshape(value.shape) - value).norm() / value.norm()
        assert float(error) <= share, place


def test_it_is_found_listed_and_saved(trained: Path) -> None:
    assert ALGORITHMS.get("vera").__module__ == "lycoris_bench_plugin_vera"
    tensors, metadata = adapter_file.read(trained)
    assert '"algo": "vera"' in metadata["ss_network_args"] and metadata["ss_network_dim"] == "4"
    (layer, *_) = adapter_file.by_layer(tensors).values()
    assert layer.keys() == {"vera_lambda_b", "vera_lambda_d", "vera_seed"}
    assert int(layer["vera_seed"]) == 11 and not layer["vera_seed"].is_floating_point()


def test_what_is_read_is_what_is_drawn_with(trained: Path, backbone: Any, base: Path) -> None:
    """The report of a merge in memory, and its weights, against the formula."""
    files = open_model(str(base))
    report = Merger(backbone.unet, backbone.text_encoders).merge(adapter_file.read(trained)[0])
    right = wanted(trained, files)
    assert report.matched == len(right) and report.algorithms == ("vera",)
    layer = "down_blocks.0.attentions.0.proj_in"
    weight = backbone.unet.get_submodule(layer).weight.detach()
    expected = files.read("unet", layer) + right["unet", layer].float()
    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-6)


def test_inspect(trained: Path, base: Path) -> None:
    alone = inspect(trained, layers=True)
    assert set(alone["algorithms"]) == {"vera"} and set(alone["ranks"]) == {"4"}
    assert alone["conventions"] == [] and all(row["norm"] is None for row in alone["layers"])
    assert "norms marked - need the base model: give --model" in alone["text"]
    beside = inspect(trained, model=str(base), layers=True)
    files = open_model(str(base))
    right = wanted(trained, files)
    for row in beside["layers"]:
        place = files.directory.find(row["layer"])
        assert place and row["norm"] == pytest.approx(float(right[place].norm()), rel=1e-9)


def test_verify_and_merge(trained: Path, base: Path, tmp_path: Path) -> None:
    found = verify(str(base), trained, strength=0.5)
    assert found["status"] == 0 and found["text"].endswith("applied")
    files = open_model(str(base))
    right = wanted(trained, files)
    assert found["matched"] == len(right) and found["picture"]["largest"] > 0
    merged = merge(str(base), [trained], tmp_path / "merged", [0.5])
    assert merged["status"] == 0 and merged["merged_layers"] == len(right)
    after = open_model(str(tmp_path / "merged"))
    moved = {p: 2 * (after.read(*p).double() - files.read(*p).double()) for p in right}
    assert_close(moved, right, 1e-4)  # weights are stored in fp32


def test_resize_to_its_own_rank_and_below(trained: Path, base: Path, tmp_path: Path) -> None:
    files = open_model(str(base))
    right = wanted(trained, files)
    whole = resize(trained, tmp_path / "whole", rank=4, model=str(base))
    assert whole["status"] == 0 and whole["error"] < 6e-4  # of half precision alone
    assert_close(made(tmp_path / "whole", files), right, 1e-3)
    less = resize(trained, tmp_path / "less", rank=1, model=str(base))
    s = {place: torch.linalg.svdvals(value.flatten(1)) for place, value in right.items()}
    lost = sum(float(v[1:].square().sum()) for v in s.values())
    assert less["error"] == pytest.approx(
        (lost / sum(float(v.square().sum()) for v in s.values())) ** 0.5, rel=1e-3
    )


def test_combine(trained: Path, base: Path, tmp_path: Path) -> None:
    files = open_model(str(base))
    right = wanted(trained, files)
    one = combine([trained], tmp_path / "one", [-0.5], model=str(base))
    assert set(one["how"]) == {"one file's, scaled (exact)"}
    assert_close(made(tmp_path / "one", files), {p: -0.5 * v for p, v in right.items()}, 1e-3)
    again = combine([trained], tmp_path / "again")  # as it is: no model is needed
    assert set(again["how"]) == {"as it is (exact)"}
    both = combine([trained, tmp_path / "one"], tmp_path / "both", model=str(base))
    assert "LoRA of the sum (exact)" in both["how"] and both["error"] < 6e-4
    assert both["how"].keys() <= {"LoRA of the sum (exact)", "full difference (exact)"}
    assert_close(made(tmp_path / "both", files), {p: 0.5 * v for p, v in right.items()}, 2e-3)


@pytest.mark.parametrize("to", ["portable", "full"])
def test_convert(trained: Path, base: Path, tmp_path: Path, to: str) -> None:
    files = open_model(str(base))
    found = convert(trained, tmp_path / to, to, model=str(base))
    assert found["status"] == 0 and found["warnings"] == [] and found["error"] < 6e-4
    assert_close(made(tmp_path / to, files), wanted(trained, files), 1e-3)
    kinds = {"portable": "lora", "full": "full"}
    assert set(inspect(tmp_path / to)["algorithms"]) == {kinds[to]}


def test_other_names_are_said_to_be_read_by_no_other_program(
    trained: Path, base: Path, tmp_path: Path
) -> None:
    found = convert(trained, tmp_path / "a", "lycoris", model=str(base))
    assert (
        "no other program is known to read VeRA; --to portable makes plain LoRA of it"
        in (found["warnings"])
    )
    assert found["error"] == 0
    for to, reason in {
        "diffusers": "diffusers reads plain LoRA alone, and .* is VeRA: convert to portable",
        "comfyui": "ComfyUI does not know VeRA, and .* is one: convert to portable",
        "peft": "a PEFT folder holds .*, one of them alone, and .* is VeRA: convert to portable",
    }.items():
        with pytest.raises(AdapterFileError, match=reason):
            convert(trained, tmp_path / to, to, model=str(base))


def test_without_a_model_each_tool_says_what_it_lacks(trained: Path, tmp_path: Path) -> None:
    reason = "the tensors of VeRA do not tell the weight's shape: give --model"
    for ask in (
        lambda out: resize(trained, out, rank=1),
        lambda out: combine([trained], out, [0.5]),
        lambda out: convert(trained, out, "portable"),
        lambda out: convert(trained, out, "full"),
    ):
        with pytest.raises(NeedsModel, match=reason):
            ask(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_is_refused_with_its_layer_named(trained: Path, tmp_path: Path) -> None:
    tensors, metadata = adapter_file.read(trained)
    name = next(key for key in tensors if key.endswith("vera_seed"))
    for value, reason in (
        (torch.tensor(-1), "vera_seed' is -1; a whole number from 0 to 2.14748e.09 is allowed"),
        (torch.ones(2, dtype=torch.int64), r"vera_seed \(2,\) has too many sizes"),
    ):
        file = tmp_path / "damaged"
        file.write_bytes(adapter_file.to_bytes({**tensors, name: value}, metadata))
        with pytest.raises(AdapterFileError, match=reason):
            adapter_file.read(file)
