"""The length of a change from its factors is that of the change, which is not made."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapter_tools import lengths
from lycoris_bench.adapter_tools.inspect import inspect
from lycoris_bench.adapter_tools.layer import needs_model
from lycoris_bench.adapter_tools.steps import told
from lycoris_bench.adapter_tools.verify import verify
from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms import loha
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from tests.support import formulas
from tests.support import tiny_files as tiny
from tests.support.forms import BUILT_IN
from tests.support.toys import randomise, toy

CASES = [(kind, options, layer) for kind, forms in BUILT_IN.items() for options in forms
         for layer in ("linear", "conv3x3")]  # fmt: skip
X = "lora_unet_x"


@pytest.mark.parametrize(("kind", "options", "layer"), CASES)
def test_every_form_to_the_last_digits(
    kind: str, options: dict, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loha, "ROWS", 7)  # so that the rows of 20 are of three parts
    model, _ = toy(layer)
    weight = model.layer.weight.detach().clone()
    network = attach(model, None, "full", kind, options, seed=0)
    randomise(network)
    (tensors,) = adapter_file.by_layer(network.tensors()).values()
    tensors = {key: value.detach() for key, value in tensors.items()}
    if not needs_model(tensors):
        wanted = float(formulas.change(tensors, weight).norm())
        assert lengths.length_alone(tensors) == pytest.approx(wanted, rel=1e-12)


def test_a_change_of_large_sizes_is_never_made() -> None:
    """60 000 x 60 000 numbers would be 29 GB; |u dᵀ| is |u| |d|, |u ⊗ v| likewise."""
    n = 60_000
    one = {"lora_up.weight": torch.full((n, 1), 2.0), "lora_down.weight": torch.full((1, n), 0.5),
           "alpha": torch.tensor(3.0)}  # fmt: skip
    assert lengths.length_alone(one) == pytest.approx(3 * 1.0 * n, rel=1e-12)
    two = {"lokr_w1": torch.full((n // 10, 1), 2.0), "lokr_w2_a": torch.full((10, 1), 1.0),
           "lokr_w2_b": torch.full((1, n), 0.5), "alpha": torch.tensor(1.0)}  # fmt: skip
    assert lengths.length_alone(two) == pytest.approx(n, rel=1e-12)


def lora(up: float, down: float, alpha: float = 1.0) -> dict[str, Tensor]:
    double = torch.float64
    return {f"{X}.lora_up.weight": torch.full((2, 1), up, dtype=double),
            f"{X}.lora_down.weight": torch.full((1, 2), down, dtype=double),
            f"{X}.alpha": torch.tensor(alpha, dtype=double)}  # fmt: skip


@pytest.mark.parametrize(("tensors", "norm"), [
    (lora(1e200, 1e-200), 2.0), (lora(1e200, 1e100, 1e-300), 2.0), (lora(1e-30, 1e-30), 2e-60),
    (lora(1e38, 3.0), 6e38),  # a length beyond fp32 of numbers within
    (lora(1e38, 4.0), None), (lora(1e200, 1e200), None), (lora(1.0, 1.0, 1e300), None),
    ({f"{X}.diff": torch.full((2, 2), 1e200, dtype=torch.float64)}, None),
    ({f"{X}.w_norm": torch.full((2,), -1e39, dtype=torch.float64)}, None),
    ({f"{X}.hada_w1_a": torch.full((2, 1), 1e150, dtype=torch.float64),
      f"{X}.hada_w1_b": torch.full((1, 2), 1e150, dtype=torch.float64),
      f"{X}.hada_w2_a": torch.full((2, 1), 1e-150, dtype=torch.float64),
      f"{X}.hada_w2_b": torch.full((1, 2), 1e-150, dtype=torch.float64)}, 2.0),
])  # fmt: skip
def test_numbers_beyond_fp32(
    tensors: dict[str, Tensor], norm: float | None, tmp_path: Path
) -> None:
    """2 x 2 equal numbers c have the length 2 |c|."""
    save_file(tensors, tmp_path / "a")
    if norm is not None:
        (block,) = inspect(tmp_path / "a")["blocks"].values()
        assert block["norm"] == pytest.approx(norm, rel=1e-12)
        return
    said = rf"a: {X}: the largest number of its change is .*, and float32, .* holds up to 3\.4e\+38"
    with pytest.raises(adapter_file.AdapterFileError, match=said):
        inspect(tmp_path / "a")


@pytest.mark.parametrize("large", [1e200, 1e-200])
def test_factors_beyond_fp32_are_applied(large: float, tmp_path: Path) -> None:
    """(c · up) · (down / c) is up · down, for every c."""
    pair = tiny.models()
    base = str(tiny.folder(tmp_path / "base", pair))
    weight = pair[0].state_dict()["time_embedding.linear_1.weight"]
    name = "lora_unet_time_embedding_linear_1"
    plain = tiny.lora(*weight.shape, 2, 1, name)
    up, down = f"{name}.lora_up.weight", f"{name}.lora_down.weight"
    scaled = {**plain, up: plain[up].double() * large, down: plain[down].double() / large}
    for file, tensors in (("a", plain), ("b", scaled)):
        save_file(tensors, tmp_path / file)
    one, two = (merged_weight(adapter_file.by_layer(t)[name], weight) for t in (plain, scaled))
    torch.testing.assert_close(one, two)
    rows = [verify(base, tmp_path / file, picture=False) for file in ("a", "b")]
    assert rows[1]["status"] == 0 and rows[1]["problems"] == []
    ours, theirs = ([row["change"] for row in one["blocks"] if row["matched"]] for one in rows)
    assert ours == pytest.approx(theirs, rel=1e-5) and len(ours) == 1
    found = [inspect(tmp_path / file, base)["blocks"] for file in ("a", "b")]
    assert found[0]["unet.time_embedding"]["norm"] == pytest.approx(
        found[1]["unet.time_embedding"]["norm"], rel=1e-6
    )


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr", "full", "glora", "ia3"])
def test_beside_a_model_too(algorithm: str, tmp_path: Path) -> None:
    pair = tiny.models()
    file = tiny.adapter(tmp_path / "a", pair, algorithm, "attn-mlp")
    base = str(tiny.folder(tmp_path / "base", pair))
    weights = {f"lora_unet_{key.removesuffix('.weight').replace('.', '_')}": value
               for key, value in pair[0].state_dict().items()}  # fmt: skip
    layers = adapter_file.by_layer(adapter_file.read(file)[0])
    for row in inspect(file, base, layers=True)["layers"]:
        if row["layer"] in weights:
            weight = weights[row["layer"]].double()
            wanted = float(formulas.change(layers[row["layer"]], weight).norm())
            tolerance = 1e-6 if algorithm in ("glora", "ia3") else 1e-12
            assert row["norm"] == pytest.approx(wanted, rel=tolerance)
            assert row["relative"] == pytest.approx(wanted / float(weight.norm()), rel=tolerance)


def test_a_layer_of_another_shape_is_named(tmp_path: Path) -> None:
    base = str(tiny.folder(tmp_path / "base", tiny.models()))
    name = "lora_unet_time_embedding_linear_1"
    for kind, tensors in {
        "lora": tiny.lora(5, 7, 2, 1, name), "full": {f"{name}.diff": torch.ones(5, 7)},
        "lokr": {f"{name}.lokr_w1": torch.ones(5, 7), f"{name}.lokr_w2": torch.ones(1, 1)},
    }.items():  # fmt: skip
        said = rf"{kind}: {name}: a change of shape \(5, 7\) does not fit a weight of shape"
        with pytest.raises(adapter_file.AdapterFileError, match=said):
            inspect(tiny.write(tmp_path / kind, tensors), base)


def test_how_far_they_are_is_told(tmp_path: Path) -> None:
    pair = tiny.models()
    file = tiny.adapter(tmp_path / "a", pair, "lora", "attn-only", dim=1)
    base = str(tiny.folder(tmp_path / "base", pair))
    count = len(adapter_file.by_layer(adapter_file.read(file)[0]))
    said: list[tuple[str, int, int]] = []
    with told(lambda *step: said.append(step)):
        inspect(file)
        inspect(file, base)
        verify(base, file, picture=False)
    for what, times in (("measuring", 2 * count), ("comparing", None)):
        steps = [(done, total) for name, done, total in said if name == what]
        assert {done for done, _ in steps} == {0, 1}
        assert sum(done for done, _ in steps) == (times or steps[0][1])
        assert not times or {total for _, total in steps} == {count}
