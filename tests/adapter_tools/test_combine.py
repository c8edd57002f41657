"""A combined file means the weighted sum of what each file means, in float64's sum."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapters import merged_bias, merged_weight
from lycoris_bench.adapters.formats import adapter_file
from tests.support import tiny_files as tiny

PRESET = "unet-transformer-only"
ONE = "lora_unet_down_blocks_0_attentions_0_proj_in"  # a 1x1 convolution, 16 to 16
Built = dict[str, tuple[Tensor, Tensor]]


@pytest.fixture
def pair() -> tiny.Models:
    return tiny.models()


def meaning(path: Path, pair: tiny.Models) -> Built:
    """Layer -> (ΔW, Δb) that the file adds to the tiny model, in float64."""
    state = {k.replace(".", "_"): v for k, v in pair[0].state_dict().items()}
    found = {}
    for name, tensors in adapter_file.by_layer(adapter_file.read(path)[0]).items():
        layer = name.removeprefix("lora_unet_")
        weight, bias = state[f"{layer}_weight"], state.get(f"{layer}_bias", torch.zeros(1))
        shift = merged_bias(tensors, bias) if f"{layer}_bias" in state else bias
        found[name] = (merged_weight(tensors, weight).double() - weight.double(),
                       shift.double() - bias.double())  # fmt: skip
    return found


def total(parts: list[tuple[Path, float]], pair: tiny.Models) -> Built:
    found: Built = {}
    for path, weight in parts:
        for name, (moved, shift) in meaning(path, pair).items():
            before = found.get(name, (torch.zeros(()), torch.zeros(())))
            found[name] = (before[0] + weight * moved, before[1] + weight * shift)
    return found


def check(out: Path, parts: list[tuple[Path, float]], pair: tiny.Models, most: float) -> None:
    wanted, got = total(parts, pair), meaning(out, pair)
    assert wanted.keys() == got.keys()
    for name, values in wanted.items():
        for one, two in zip(values, got[name], strict=True):
            assert float((one - two).norm()) <= most * float(one.norm()) + 2e-6, name


@pytest.mark.parametrize(
    ("kinds", "how"),
    [
        (["lora", "lora"], "LoRA side by side (exact)"),
        (["full", "full"], "differences added (exact)"),
        (["lora", "loha"], "LoRA of the sum (exact)"),
        (["lora", "lokr"], "full difference (exact)"),
        (["loha"], "one file's, scaled (exact)"),
        (["lokr"], "one file's, scaled (exact)"),
    ],
)
def test_sums_are_exact(tmp_path: Path, pair: tiny.Models, kinds: list[str], how: str) -> None:
    options = {
        "lora": {"dim": 2, "alpha": 3},
        "loha": {"dim": 1, "alpha": 2},
        "lokr": {},
        "full": {},
    }
    weights = [0.5, -1.5][: len(kinds)]
    paths = [
        tiny.adapter(tmp_path / f"{n}", pair, kind, PRESET, seed=n, **options[kind])
        for n, kind in enumerate(kinds)
    ]
    found = combine(paths, tmp_path / "out", weights)
    assert found["how"] == {how: len(meaning(paths[0], pair))}
    check(tmp_path / "out", list(zip(paths, weights, strict=True)), pair, 2e-3)
    assert found["error"] < 2e-3  # half precision


def test_ranks_add_and_alpha_is_folded(tmp_path: Path) -> None:
    one, two = (tiny.lora(16, 16, rank, rank, "lora_unet_x") for rank in (2, 3))
    paths = [tiny.write(tmp_path / "1", one), tiny.write(tmp_path / "2", two)]
    combine(paths, tmp_path / "out", [1.0, 2.0])
    layer = adapter_file.by_layer(adapter_file.read(tmp_path / "out")[0])["lora_unet_x"]
    assert layer["lora_down.weight"].shape == (5, 16) and float(layer["alpha"]) == 5
    wanted = sum(
        w * 0.5 * t["lora_unet_x.lora_up.weight"].half().double()
        @ t["lora_unet_x.lora_down.weight"].half().double()
        for w, t in ((1.0, one), (2.0, two))
    )  # fmt: skip
    got = layer["lora_up.weight"].double() @ layer["lora_down.weight"].double()
    assert torch.allclose(got, wanted, rtol=1e-3, atol=1e-3)


def test_the_same_file_twice_adds_its_weights(tmp_path: Path, pair: tiny.Models) -> None:
    file = tiny.adapter(tmp_path / "a", pair, "lora", PRESET, dim=2)
    combine([file, file], tmp_path / "out", [0.75, 0.5])
    check(tmp_path / "out", [(file, 1.25)], pair, 2e-3)
    down = adapter_file.read(tmp_path / "out")[0][f"{ONE}.lora_down.weight"]
    assert down.shape[0] == 2  # and not 4


def test_a_rank_is_the_nearest_lora(tmp_path: Path, pair: tiny.Models) -> None:
    paths = [tiny.adapter(tmp_path / f"{n}", pair, "lora", PRESET, seed=n, dim=3) for n in (1, 2)]
    found = combine(paths, tmp_path / "out", rank=4)
    assert found["how"].keys() == {"nearest LoRA (SVD)"}
    wanted, got = total([(p, 1.0) for p in paths], pair)[ONE][0], meaning(tmp_path / "out", pair)
    values = torch.linalg.svdvals(wanted.flatten(1))
    missed = float((wanted - got[ONE][0]).norm())
    assert missed == pytest.approx(float(values[4:].norm()), rel=1e-2)
    share = float(values[4:].norm() / values.norm())
    assert found["layers"][ONE]["error"] == pytest.approx(share, rel=1e-2)


def test_norms_and_biases_are_added(tmp_path: Path, pair: tiny.Models) -> None:
    paths = [
        tiny.adapter(tmp_path / "full", pair, "full", "full", seed=1),
        tiny.adapter(tmp_path / "lora", pair, "lora", "full", seed=2, dim=2),
    ]
    keep = [t for t in adapter_file.read(paths[0])[0].items() if not t[0].startswith("lora_te")]
    tiny.write(paths[0], dict(keep))
    keep = [t for t in adapter_file.read(paths[1])[0].items() if not t[0].startswith("lora_te")]
    tiny.write(paths[1], dict(keep))
    combine(paths, tmp_path / "out", [1.0, 0.5])
    check(tmp_path / "out", [(paths[0], 1.0), (paths[1], 0.5)], pair, 2e-3)
    assert any(float(shift.norm()) > 0 for _, shift in meaning(tmp_path / "out", pair).values())


@pytest.mark.parametrize(
    ("kind", "options"),
    [("lora", {"dora_wd": True}), ("diag-oft", {}), ("glora", {}), ("ia3", {})],
)
def test_what_depends_on_the_weight_takes_the_model(
    tmp_path: Path, pair: tiny.Models, kind: str, options: dict[str, bool]
) -> None:
    paths = [
        tiny.adapter(tmp_path / "1", pair, kind, "unet-transformer-only", seed=1, **options),
        tiny.adapter(tmp_path / "2", pair, "lora", "unet-transformer-only", seed=2, dim=2),
    ]
    with pytest.raises(NeedsModel, match="depends on the base model's weights: give --model"):
        combine(paths, tmp_path / "out", [0.5, 1.0])
    base = tiny.folder(tmp_path / "base", pair)
    combine(paths, tmp_path / "out", [0.5, 1.0], model=str(base))
    check(tmp_path / "out", [(paths[0], 0.5), (paths[1], 1.0)], pair, 2e-3)
    one, two = tmp_path / "one", tmp_path / "two"
    merge(str(base), paths, one, [0.5, 1.0])
    merge(str(base), [tmp_path / "out"], two)
    from safetensors.torch import load_file

    part = "unet/diffusion_pytorch_model.safetensors"
    first, second = load_file(one / part), load_file(two / part)
    assert all(torch.allclose(first[key], second[key], atol=1e-3) for key in first)


def test_spellings_of_a_layer_meet(tmp_path: Path) -> None:
    inner = "encoder_layers_0_mlp_fc1"
    for n, name in enumerate((f"lora_te_text_model_{inner}", f"lora_te_{inner}")):
        tiny.write(tmp_path / f"{n}", tiny.lora(32, 16, 2, n, name))
    found = combine([tmp_path / "0", tmp_path / "1"], tmp_path / "out")
    assert found["layers"].keys() == {f"lora_te_text_model_{inner}"}
    tiny.write(tmp_path / "2", tiny.lora(16, 16, 2, 1, "lora_unet_input_blocks_1_1_proj_in"))
    tiny.write(tmp_path / "3", tiny.lora(16, 16, 2, 1, ONE))
    with pytest.raises(NeedsModel, match=r"\(CompVis and diffusers\): give --model"):
        combine([tmp_path / "2", tmp_path / "3"], tmp_path / "out3")
    base = tiny.folder(tmp_path / "base", tiny.models())
    found = combine([tmp_path / "2", tmp_path / "3"], tmp_path / "out3", model=str(base))
    assert found["layers"].keys() == {ONE}


def test_options_are_checked(tmp_path: Path) -> None:
    file = tiny.write(tmp_path / "a", tiny.lora(4, 4, 2, 1, "lora_unet_x"))
    with pytest.raises(
        ValueError, match="2 files and 1 weight are given; give --weight once for each"
    ):
        combine([file, file], tmp_path / "out", [1.0])
    with pytest.raises(ValueError, match="--weight is nan; a number from -65504"):
        combine([file], tmp_path / "out", [float("nan")])
    tiny.write(tmp_path / "b", tiny.lora(4, 8, 2, 1, "lora_unet_x"))
    with pytest.raises(ValueError, match=r"lora_unet_x: .* have the shapes \(4, 4\) and"):
        combine([file, tmp_path / "b"], tmp_path / "out")
