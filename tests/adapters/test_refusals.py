"""What an algorithm cannot do is a sentence that says why and what would do."""

import pytest
import torch
from torch import nn

from lycoris_bench.adapters import merged_weight
from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.boft import block_size
from lycoris_bench.adapters.algorithms.factors import factorization
from lycoris_bench.adapters.attach import attach
from tests.adapters.test_formulas import moved
from tests.support.forms import FORMS
from tests.support.toys import toy

CASES = [(name, k) for name, forms in FORMS.items() for k in range(len(forms))]


@pytest.mark.parametrize(("algorithm", "k"), CASES)
def test_the_change_of_another_layer_is_refused(algorithm: str, k: int) -> None:
    """Also for a transposed one, which has as many numbers."""
    adapter, _ = moved(algorithm, FORMS[algorithm][k], (20, 12))
    tensors = {name: value.detach() for name, value in adapter.tensors().items()}
    for shape in ((12, 20), (15, 7), (15, 7, 3, 3)):
        with pytest.raises(ValueError, match=r"\(15, 7|\(12, 20") as refused:
            merged_weight(tensors, torch.randn(shape))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("algorithm", "k"), CASES)
def test_a_tensor_that_is_missing_is_named(algorithm: str, k: int) -> None:
    """Each tensor but alpha and the magnitudes, which mean something when absent."""
    adapter, weight = moved(algorithm, FORMS[algorithm][k], (20, 12, 3, 2))
    tensors = {name: value.detach() for name, value in adapter.tensors().items()}
    optional = {"alpha", "dora_scale", "rescale"}
    for name in tensors.keys() - optional:
        rest = {key: value for key, value in tensors.items() if key != name}
        with pytest.raises(ValueError, match="is missing|no algorithm has|do(es)? not fit"):
            merged_weight(rest, weight)


@pytest.mark.parametrize(("outputs", "dim", "needed"), [
    (20, 8, 10), (320, 8, 10), (640, 9, 10), (768, 5, 6), (12, 5, 6), (4, 1, 2),
])  # fmt: skip
def test_boft_says_which_dim_there_is(outputs: int, dim: int, needed: int) -> None:
    with pytest.raises(ValueError, match=f"{outputs} outputs; dim {needed} has"):
        block_size(outputs, dim)
    assert block_size(outputs, needed) == needed


def test_boft_splits_as_an_exhaustive_search_does() -> None:
    powers = {2**p for p in range(12)}
    for outputs in range(2, 400):
        for dim in (2, 4, 6, 10, 12, 31, 64):
            fits = [
                b for b in range(2, min(dim, outputs) + 1, 2)
                if outputs % b == 0 and outputs // b in powers
            ]  # fmt: skip
            if fits:
                assert block_size(outputs, dim) == max(fits)
            else:
                with pytest.raises(ValueError, match="boft"):
                    block_size(outputs, dim)


def test_diag_oft_says_which_dim_there_is() -> None:
    kind = ALGORITHMS.get("diag-oft")
    with pytest.raises(ValueError, match="dim 4 splits 4 outputs into blocks of 1; dim = 2 would"):
        kind(torch.empty(4, 8), dim=4)
    assert factorization(4, 2) == (2, 2)
    with pytest.raises(ValueError, match="no dim splits 13"):
        kind(torch.empty(13, 8))


def test_the_layer_is_named() -> None:
    model, _ = toy("linear")
    with pytest.raises(ValueError, match=r"lora_unet_down_blocks_0_layer: boft has .* dim 10 has"):
        attach(model, None, "full", "boft", {"dim": 8}, seed=1)
    model.down_blocks[0].layer = nn.Linear(12, 15)
    with pytest.raises(ValueError, match="layer: boft pairs rows: 15 outputs, an odd number"):
        attach(model, None, "full", "boft", {"dim": 64}, seed=1)


@pytest.mark.parametrize(("tensors", "sentence"), [
    ({"oft_blocks": (5, 4, 4), "oft_diag": (5, 4, 4)}, "oft_blocks and oft_diag .* contradict"),
    ({"lokr_w1": (2, 2), "lokr_w2": (10, 6), "lokr_w2_a": (10, 3)}, "lokr_w2 and lokr_w2_a"),
    ({"oft_in.weight": (3, 1, 4)}, r"oft_in.weight \(3, 1, 4\) is no row of square blocks"),
    ({"oft_blocks": (3, 4, 4)}, r"oft_blocks of shape \(3, 4, 4\) does not fit"),
    ({"oft_blocks": (3, 2, 10, 10)}, r"oft_blocks of shape \(3, 2, 10, 10\) does not fit"),
    ({"oft_blocks": (5, 4, 4), "rescale": (12, 1)}, "rescale of shape .* the 20 outputs"),
    ({"weight": (12,), "on_input": ()}, "12 numbers for the 20 outputs"),
    ({"lora_up.weight": (20, 3), "lora_down.weight": (3, 12), "dora_scale": (12, 1)},
     r"dora_scale of shape \(12, 1\) does not fit"),
])  # fmt: skip
def test_shapes_that_contradict_each_other(tensors: dict, sentence: str) -> None:
    made = {name: torch.zeros(shape) for name, shape in tensors.items()}
    with pytest.raises(ValueError, match=sentence):
        merged_weight(made, torch.randn(20, 12))


def test_a_tensor_that_the_algorithm_does_not_know_is_not_left_out() -> None:
    """To leave it out would change what the file means."""
    for algorithm, forms in FORMS.items():
        adapter, weight = moved(algorithm, forms[0], (20, 12))
        tensors = {name: value.detach() for name, value in adapter.tensors().items()}
        with pytest.raises(ValueError, match="no algorithm has the tensors.*surprise"):
            merged_weight({**tensors, "surprise": torch.ones(1)}, weight)
