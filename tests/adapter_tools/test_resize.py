"""A smaller LoRA: the singular values that are kept are the largest, and the error is the rest."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.adapter_tools.svd import within
from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.formats import adapter_file
from tests.support import tiny_files as tiny


@pytest.fixture
def pair() -> tiny.Models:
    return tiny.models()


def deltas(path: Path, pair: tiny.Models) -> dict[str, Tensor]:
    """Layer -> what its tensors add to a weight of zeros, in float64's hands from here."""
    weights = {
        "lora_unet_" + key.removesuffix(".weight").replace(".", "_"): value
        for key, value in pair[0].state_dict().items()
    }
    return {
        name: merged_weight(tensors, torch.zeros_like(weights[name]))
        for name, tensors in adapter_file.by_layer(adapter_file.read(path)[0]).items()
    }


def values(delta: Tensor) -> np.ndarray:
    return np.linalg.svd(delta.flatten(1).double().numpy(), compute_uv=False)


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr", "full"])
def test_the_error_is_the_tail(tmp_path: Path, pair: tiny.Models, algorithm: str) -> None:
    options = {} if algorithm == "full" else {"dim": 4}
    file = tiny.adapter(tmp_path / "a", pair, algorithm, "unet-transformer-only", **options)
    found = resize(file, tmp_path / "out", rank=2)
    before, after = deltas(file, pair), deltas(tmp_path / "out", pair)
    assert before.keys() == after.keys() == found["layers"].keys()
    tails, wholes = [], []
    for name, delta in before.items():
        s = values(delta)
        assert found["layers"][name]["rank"] == 2
        assert found["layers"][name]["error"] == pytest.approx(
            np.linalg.norm(s[2:]) / np.linalg.norm(s), rel=1e-3, abs=1e-6
        )
        # the file is as near as a matrix of rank 2 can be, and half precision
        missed = float((delta - after[name]).norm())
        assert missed == pytest.approx(np.linalg.norm(s[2:]), rel=1e-3, abs=3e-3 * s[0])
        tails.append(np.linalg.norm(s[2:]))
        wholes.append(np.linalg.norm(s))
    wanted = np.linalg.norm(tails) / np.linalg.norm(wholes)
    assert found["error"] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("megabytes", [0.05, 0.1, 0.2])
def test_a_size_is_kept_with_one_threshold(
    tmp_path: Path, pair: tiny.Models, megabytes: float
) -> None:
    file = tiny.adapter(tmp_path / "a", pair, "lora", "unet-only", dim=16, alpha=16)
    found = resize(file, tmp_path / "out", megabytes=megabytes)
    size = (tmp_path / "out").stat().st_size
    assert 0.9 * megabytes * 2**20 < size <= megabytes * 2**20 and size == found["bytes"]
    kept, dropped = [], []
    for name, delta in deltas(file, pair).items():
        s, rank = values(delta)[:16], found["layers"][name]["rank"]
        kept += list(s[:rank])
        dropped += list(s[rank:])
    assert min(kept) >= max(dropped) * (1 - 1e-4)


def test_water_level_by_hand() -> None:
    """5, 4 and 3 cost 10, 20 and 20 bytes; 49 do not pay for all three."""
    found = [torch.tensor([5.0, 1.0]), torch.tensor([4.0, 3.0])]
    assert within(found, [10, 20], 49) == [1, 1]
    assert within(found, [10, 20], 60) == [2, 2]
    assert within(found, [10, 20], 9) == [0, 0]


def test_too_small_a_size_says_so(tmp_path: Path, pair: tiny.Models) -> None:
    file = tiny.adapter(tmp_path / "a", pair, "lora", "unet-only")
    with pytest.raises(ValueError, match="--size is too small: .* more than 524 bytes"):
        resize(file, tmp_path / "out", megabytes=0.0005)


def test_norms_and_biases_are_kept(tmp_path: Path, pair: tiny.Models) -> None:
    file = tiny.adapter(tmp_path / "a", pair, "full", "full")
    before = {k: v for k, v in adapter_file.read(file)[0].items() if not k.endswith(".diff")}
    # without the model the kernels' sizes are known, as `diff` has W's shape
    resize(file, tmp_path / "out", energy=0.5)
    after = adapter_file.read(tmp_path / "out")[0]
    assert len(before) > 50
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(key.endswith(".diff") for key in after)


def test_what_depends_on_the_weight_takes_the_model(tmp_path: Path, pair: tiny.Models) -> None:
    file = tiny.adapter(tmp_path / "a", pair, "lora", "unet-only", dora_wd=True)
    with pytest.raises(NeedsModel, match="depends on the base model's weights: give --model"):
        resize(file, tmp_path / "out", rank=4)
    base = tiny.folder(tmp_path / "base", pair)
    resize(file, tmp_path / "out", rank=1000, model=str(base))
    name = "down_blocks.1.resnets.0.conv1"
    layer = "lora_unet_" + name.replace(".", "_")
    weight = pair[0].state_dict()[f"{name}.weight"]
    one, two = (
        adapter_file.by_layer(adapter_file.read(f)[0])[layer] for f in (file, tmp_path / "out")
    )
    wanted = merged_weight(one, weight) - weight
    assert float((merged_weight(two, weight) - weight - wanted).norm() / wanted.norm()) < 2e-3


def test_unrolled_kernels_take_the_model(tmp_path: Path, pair: tiny.Models) -> None:
    file = tiny.adapter(tmp_path / "a", pair, "loha", "unet-only", dim=2)
    with pytest.raises(NeedsModel, match="do not show the kernel's size: give --model"):
        resize(file, tmp_path / "out", rank=4)
    base = tiny.folder(tmp_path / "base", pair)
    resize(file, tmp_path / "out", rank=4, model=str(base))  # rank 2² = 4 is all of it
    before, after = deltas(file, pair), deltas(tmp_path / "out", pair)
    assert all(torch.allclose(after[k], v, atol=2e-3 * float(v.norm())) for k, v in before.items())
    down = adapter_file.read(tmp_path / "out")[0]["lora_unet_conv_in.lora_down.weight"]
    assert down.shape == (4, 4, 3, 3)


@pytest.mark.parametrize("given", [{}, {"rank": 1, "energy": 0.5}, {"rank": 0}, {"energy": 1.5},
                                   {"megabytes": -1.0}])  # fmt: skip
def test_options_are_checked(tmp_path: Path, given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="--rank|--energy|--size"):
        resize(tmp_path / "a", tmp_path / "out", **given)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lora_up.weight": torch.full((4, 2), torch.nan)}, r"\.lora_up.weight' holds NaN or"),
        ({"lora_up.weight": torch.ones(4, 3)}, r": lora_up.weight \(4, 3\) and .* no rank"),
        ({"lora_down.weight": None}, ": 'lora_down.weight' is missing"),
    ],
)
def test_damaged_tensors_are_a_sentence_that_names_the_layer(
    tmp_path: Path, changes: dict[str, Tensor | None], said: str
) -> None:
    good = tiny.lora(4, 4, 2, 1, "lora_unet_good")
    tensors = good | tiny.lora(4, 4, 2, 2, "lora_unet_x")
    tensors |= {f"lora_unet_x.{key}": value for key, value in changes.items()}
    save_file({k: v for k, v in tensors.items() if v is not None}, tmp_path / "a")
    with pytest.raises(adapter_file.AdapterFileError, match=f"lora_unet_x{said}"):
        resize(tmp_path / "a", tmp_path / "out", rank=1)
    assert not (tmp_path / "out").exists()
