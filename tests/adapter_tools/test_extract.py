"""What is extracted is the difference, as near as numpy's float64 says that it can be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapter_tools.extract import extract
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.svd import rank_of_energy, svd, svd_of_product
from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms.lokr import LoKr
from lycoris_bench.adapters.formats import adapter_file
from tests.support import tiny_files as tiny

LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj"  # (128, 16)
CONV = "down_blocks.1.resnets.0.conv1"  # (32, 16, 3, 3)
NORM = "down_blocks.0.resnets.0.norm1"


def tuned(place: Path, changes: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> Path:
    """The tiny model with differences added to some of the U-Net's tensors."""
    pair = tiny.models()
    state = pair[0].state_dict()
    for key, value in changes.items():
        state[key] += value
    return tiny.folder(place, (pair[0].to(dtype), pair[1].to(dtype)))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.05


def name(path: str) -> str:
    return "lora_unet_" + path.replace(".", "_")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.folder(tmp_path / "base", tiny.models())


def stored(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")


def product(tensors: dict[str, Tensor]) -> Tensor:
    """alpha/rank · up · down in float64."""
    up, down = (tensors[f"lora_{k}.weight"].double().flatten(1) for k in ("up", "down"))
    return float(tensors["alpha"]) / len(down) * up @ down


def test_a_low_rank_difference_is_recovered(tmp_path: Path, base: Path) -> None:
    linear = random(128, 3) @ random(3, 16, seed=1)
    conv = (random(32, 2, seed=2) @ random(2, 144, seed=3)).reshape(32, 16, 3, 3)
    after = tuned(tmp_path / "after", {f"{LINEAR}.weight": linear, f"{CONV}.weight": conv})
    out = tmp_path / "out.safetensors"
    found = extract(str(base), str(after), out, "lora", energy=0.999999)
    layers = adapter_file.by_layer(adapter_file.read(out)[0])
    assert layers.keys() == {name(LINEAR), name(CONV)}  # what did not change is left out
    for path, wanted, rank in ((LINEAR, linear, 3), (CONV, conv, 2)):
        assert layers[name(path)]["lora_down.weight"].shape == (rank, *wanted.shape[1:])
        key = f"{path}.weight"
        truth = stored(after)[key].double() - stored(base)[key].double()
        got = product(layers[name(path)]).reshape(truth.shape)
        error = float((got - truth).norm() / truth.norm())
        assert error < 1e-6  # models in fp32 have an adapter in fp32
        assert found["layers"][f"unet.{path}"]["error"] == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_the_error_of_a_rank_is_numpys_tail(tmp_path: Path, base: Path, rank: int) -> None:
    delta = random(128, 16)
    after = tuned(tmp_path / "after", {f"{LINEAR}.weight": delta})
    found = extract(str(base), str(after), tmp_path / "out.safetensors", rank=rank)
    values = np.linalg.svd(delta.double().numpy(), compute_uv=False)
    wanted = np.linalg.norm(values[rank:]) / np.linalg.norm(values)
    assert found["error"] == pytest.approx(wanted, abs=1e-3)
    assert found["layers"][f"unet.{LINEAR}"]["rank"] == rank


@pytest.mark.parametrize("energy", [0.3, 0.8, 0.95])
def test_energy_gives_the_least_rank_that_keeps_it(
    tmp_path: Path, base: Path, energy: float
) -> None:
    delta = random(128, 16)
    after = tuned(tmp_path / "after", {f"{LINEAR}.weight": delta})
    found = extract(str(base), str(after), tmp_path / "out.safetensors", energy=energy)
    squares = np.linalg.svd(delta.double().numpy(), compute_uv=False) ** 2
    least = next(n for n in range(1, 17) if squares[:n].sum() >= energy * squares.sum())
    assert found["layers"][f"unet.{LINEAR}"]["rank"] == least
    assert rank_of_energy(torch.tensor(squares).sqrt(), energy) == least


def test_a_kronecker_product_is_found_exactly(tmp_path: Path, base: Path) -> None:
    linear = torch.kron(random(8, 2), random(16, 8, seed=1) * 20)
    conv = torch.einsum("ab,cdxy->acbdxy", random(4, 2, seed=2), random(8, 8, 3, 3, seed=3) * 20)
    after = tuned(
        tmp_path / "after",
        {f"{LINEAR}.weight": linear, f"{CONV}.weight": conv.reshape(32, 16, 3, 3)},
    )
    out = tmp_path / "out.safetensors"
    found = extract(str(base), str(after), out, "lokr", factor=8)
    layers = adapter_file.by_layer(adapter_file.read(out)[0])
    assert layers[name(LINEAR)]["lokr_w1"].shape == (8, 2)
    got = merged_weight(layers[name(CONV)], torch.zeros(32, 16, 3, 3))
    assert torch.allclose(got, conv.reshape(32, 16, 3, 3), atol=2e-3)
    assert found["error"] < 2e-3


def test_the_nearest_kronecker_product_is_numpys() -> None:
    """Blocks as rows, one by one, and the best rank-1 matrix of float64."""
    delta = random(12, 8)
    found = LoKr.nearest(delta, 3)
    (u, ui), (v, vi) = found["lokr_w1"].shape, found["lokr_w2"].shape
    rows = [delta[a * v : (a + 1) * v, b * vi : (b + 1) * vi].double().numpy().ravel()
            for a in range(u) for b in range(ui)]  # fmt: skip
    values = np.linalg.svd(np.array(rows), compute_uv=False)
    missed = (delta - torch.kron(found["lokr_w1"], found["lokr_w2"])).norm()
    assert float(missed) == pytest.approx(float(np.linalg.norm(values[1:])), rel=1e-5)


def test_the_full_difference_makes_the_tuned_model(tmp_path: Path, base: Path) -> None:
    keys = (f"{LINEAR}.weight", f"{LINEAR}.bias", f"{CONV}.weight", f"{NORM}.weight")
    shapes = {key: tiny.models()[0].state_dict()[key].shape for key in keys}
    after = tuned(tmp_path / "after", {key: random(*s) for key, s in shapes.items()})
    out = tmp_path / "out.safetensors"
    found = extract(str(base), str(after), out, "full")
    assert {key.partition(".")[2] for key in load_file(out)} == {"diff", "diff_b", "w_norm"}
    merge(str(base), [out], tmp_path / "again")
    part = "unet/diffusion_pytorch_model.safetensors"
    one, two = load_file(after / part), load_file(tmp_path / "again" / part)
    assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)
    assert 0 < found["error"] < 1e-3 and not found["left_out"]


def test_what_the_kind_cannot_say_is_named(tmp_path: Path, base: Path) -> None:
    after = tuned(
        tmp_path / "after", {f"{LINEAR}.weight": random(128, 16), f"{NORM}.bias": random(16)}
    )
    found = extract(str(base), str(after), tmp_path / "out.safetensors")
    assert found["left_out"] == [f"unet.{NORM}.bias"]
    assert f"not expressible as lora: 1 tensor: unet.{NORM}.bias" in found["text"]


def test_a_half_copy_of_the_base_differs_in_nothing(tmp_path: Path, base: Path) -> None:
    half = tuned(tmp_path / "half", {}, torch.float16)
    with pytest.raises(ValueError, match="differ in no weight that 'lora' can change"):
        extract(str(base), str(half), tmp_path / "out.safetensors")


def test_layouts_may_differ_and_families_may_not(tmp_path: Path, base: Path) -> None:
    delta = random(128, 3) @ random(3, 16, seed=1)
    pair = tiny.models()
    pair[0].state_dict()[f"{LINEAR}.weight"].add_(delta)
    after = tiny.single_file(tmp_path / "after.safetensors", pair)
    found = extract(str(base), str(after), tmp_path / "out.safetensors", rank=3)
    assert found["layers"].keys() == {f"unet.{LINEAR}"}
    other = tmp_path / "other"
    (other / "unet").mkdir(parents=True)
    save_file({"conv_in.weight": torch.ones(2, 2)}, other / "unet" / "a.safetensors")
    with pytest.raises(ValueError, match="unet.conv_in.weight is .* these are other models"):
        extract(str(base), str(other), tmp_path / "no.safetensors")


def test_products_have_the_singular_values_of_their_matrix() -> None:
    up, down = random(40, 5), random(5, 30, seed=1)
    wanted = np.linalg.svd((up.double() @ down.double()).numpy(), compute_uv=False)[:5]
    found = svd_of_product(up, down)
    np.testing.assert_allclose(found.s.numpy(), wanted, rtol=1e-5)
    np.testing.assert_allclose(found.matrix.numpy(), (up @ down).numpy(), atol=1e-6)
    np.testing.assert_allclose(svd(up @ down).s.numpy()[:5], wanted, rtol=1e-5)
