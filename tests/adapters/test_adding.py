"""Changes that are added to weights by their factors: the merged weights are those of ΔW."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters import adding, known_files
from lycoris_bench.adapters.adding import Sum, Sums
from lycoris_bench.adapters.algorithms.terms import MOST_RANK, Kronecker, LowRank, Term
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.delta import merged_bias, merged_weight
from lycoris_bench.adapters.formats.adapter_file import by_layer
from lycoris_bench.adapters.matching import Match
from lycoris_bench.adapters.merge import Merger
from tests.support.forms import FORMS
from tests.support.toys import LAYERS, Toy, randomise, toy

NAME = "lora_unet_down_blocks_0_layer"
CASES = [(algorithm, k) for algorithm, forms in FORMS.items() for k in range(len(forms))]
DTYPES = {torch.float32: 2**-22, torch.float16: 2**-10, torch.bfloat16: 2**-7}  # a step or two
TERMS: dict[str, Callable[..., Term]] = {
    "product": lambda *more: LowRank(torch.randn(*more, 24, 3), torch.randn(*more, 3, 10)),
    "kronecker": lambda *more: Kronecker(torch.randn(*more, 6, 2), torch.randn(*more, 4, 5)),
}
every_term = pytest.mark.parametrize("form", TERMS)


def file(algorithm: str, k: int, layer: str, seed: int = 3) -> dict[str, Tensor]:
    """An adapter's tensors as they lie in a file of half precision."""
    network = attach(toy(layer)[0], None, "full", algorithm, FORMS[algorithm][k], seed=7)
    randomise(network, seed)
    network.detach()
    return {key: v.half() if v.dim() else v for key, v in network.tensors().items()}


def matrix(term: Term) -> np.ndarray:
    """ΔW in float64, by numpy's own products."""
    left, right = (factor.double().numpy() for factor in term.factors)
    return left @ right if isinstance(term, LowRank) else np.kron(left, right)


@pytest.mark.parametrize(("algorithm", "k"), CASES)
def test_merging_is_adding_the_change(algorithm: str, k: int) -> None:
    """Every form of every algorithm, on every kind of layer and in every dtype, from the kept copy
    of the base whatever was merged before."""
    for layer in LAYERS:
        own = file(algorithm, k, layer)
        tensors = by_layer(own)[NAME]
        for dtype, step in DTYPES.items():
            for format_ in (torch.contiguous_format, torch.channels_last):
                model = toy(layer)[0].to(dtype)
                if format_ == torch.channels_last:
                    if not isinstance(model.layer, nn.Conv2d):
                        continue
                    model.to(memory_format=format_)
                base = {key: value.clone() for key, value in model.layer.state_dict().items()}
                merger = Merger(model)
                merger.merge(file(algorithm, k, layer, seed=4), 0.5)
                for strength in (1.0, -0.35):
                    merger.merge(own, strength)
                    expected = merged_weight(tensors, base["weight"], strength)
                    size = float(expected.abs().max())
                    torch.testing.assert_close(
                        model.layer.weight.detach(), expected, rtol=step, atol=step * size
                    )
                    if "bias" in base:
                        wanted = merged_bias(tensors, base["bias"], strength)
                        assert torch.equal(model.layer.bias.detach(), wanted)
                merger.restore()
                assert all(torch.equal(v, base[key]) for key, v in model.layer.state_dict().items())


@every_term
def test_a_term_is_its_matrix(form: str) -> None:
    torch.default_generator.manual_seed(1)
    term, base, out = TERMS[form](), torch.randn(24, 10), torch.empty(24, 10)
    expected = base.double().numpy() - 0.7 * matrix(term)
    assert term.sizes == (24, 10)
    assert term.plus(base, -0.7, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(term.plus(base, -0.7, out=base), expected, rtol=1e-5, atol=1e-5)
    assert float(term.length()) == pytest.approx(np.linalg.norm(matrix(term)), rel=1e-9)
    np.testing.assert_array_equal(matrix(term.rows(8, 16)), matrix(term)[8:16])


@every_term
def test_lengths_of_what_is_nothing_and_of_what_is_not_finite(form: str) -> None:
    nothing, damaged = TERMS[form](), TERMS[form]()
    nothing.factors[0].zero_()
    damaged.factors[1][0, 0] = torch.nan
    assert float(nothing.length()) == 0 and not torch.isfinite(damaged.length())


def test_a_product_that_cancels_has_the_length_of_its_rest() -> None:
    """(1, 1) · (x, -x + e): the squares cancel to the 8th digit, which fp32 does not have."""
    up, down = torch.ones(5, 2), torch.full((2, 7), 100.0)
    down[1] = -100.01
    rest = float(down[0, 0].double() + down[1, 0].double())
    assert float(LowRank(up, down).length()) == pytest.approx(abs(rest) * 35**0.5, rel=1e-6)


@every_term
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_and_many_layers_at_once_write_the_same(
    form: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By blocks as a CPU does, and by stacks as an accelerator does, also in several."""
    torch.default_generator.manual_seed(2)
    terms, bases = [TERMS[form]() for _ in range(5)], torch.randn(5, 24, 10, 1, 1).to(dtype)
    results = []

    def written(write: Callable[[list[Sum]], object]) -> None:
        weights = [torch.empty_like(base) for base in bases]
        write([Sum(w, b, t, 0.3) for w, b, t in zip(weights, bases, terms, strict=True)])
        results.append(torch.stack(weights).float())

    written(lambda sums: [adding._by_blocks(each) for each in sums])
    written(adding._together)
    monkeypatch.setattr(adding, "BLOCK", 50)
    monkeypatch.setattr(adding, "LEAST_ROWS", 5)  # 24 is no multiple of it
    written(lambda sums: [adding._by_blocks(each) for each in sums])
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=DTYPES[dtype], atol=1e-6)
    changes = np.stack([matrix(term) for term in terms])
    expected = bases.double().numpy() + 0.3 * changes.reshape(bases.shape)
    np.testing.assert_allclose(results[0], expected, rtol=2 * DTYPES[dtype], atol=1e-6)


def test_sums_return_each_layers_length() -> None:
    """In one group or several: shapes and strengths differ."""
    sums, expected = Sums(), {}
    for form, strength in (("product", 1.0), ("product", -2.0), ("kronecker", 1.0)):
        for _ in range(2):
            term, weight = TERMS[form](), torch.zeros(24, 10)
            sums.put(Sum(weight, torch.zeros(24, 10), term, strength))
            expected[weight] = np.linalg.norm(strength * matrix(term))
    found = dict(sums.write())
    assert found.keys() == expected.keys()
    for weight, length in found.items():
        assert float(length) == pytest.approx(expected[weight], rel=1e-6)
        assert float(weight.norm()) == pytest.approx(expected[weight], rel=1e-5)


@pytest.mark.parametrize(("algorithm", "options", "quick"), [
    ("lora", {"dim": MOST_RANK}, True), ("lora", {"dim": MOST_RANK + 1}, False),
    ("loha", {"dim": 5}, True), ("loha", {"dim": 6}, False), ("lokr", {"factor": 4}, True),
    ("lora", {"dim": 2, "dora_wd": True}, False), ("full", {}, False),
])  # fmt: skip
def test_what_has_a_term(algorithm: str, options: dict, quick: bool) -> None:
    """Factors of small rank, without a magnitude."""
    model, _ = toy("linear")
    network = attach(model, None, "full", algorithm, options, seed=7)
    network.detach()
    [tensors] = by_layer(network.tensors()).values()
    weight = model.layer.weight
    kind = type(next(iter(network.adapters.values())))
    assert (adding.term_of(kind, tensors, weight) is not None) == quick
    assert adding.term_of(kind, tensors, torch.empty(21, 12)) is None  # does not fit
    wide = {key: value.double() for key, value in tensors.items()}
    assert adding.term_of(kind, wide, weight) is None  # fp32 may not hold it


class Counted(Merger):
    """Counts how often a file is matched anew."""

    times = 0

    def _match(self, file: Mapping[str, dict[str, Tensor]]) -> Match:
        self.times += 1
        return super()._match(file)


def test_files_of_one_kind_are_matched_once() -> None:
    first, second = (file("lokr", 0, "linear", seed) for seed in (1, 2))
    model, fresh = toy("linear")[0], toy("linear")[0]
    merger = Counted(model)
    for tensors, times in ((first, 1), (second, 1), (first, 1)):
        report = merger.merge(tensors)
        assert merger.times == times
        assert report == Merger(fresh).merge(tensors)
        assert torch.equal(model.layer.weight, fresh.layer.weight)
        fresh = toy("linear")[0]
    matches = [match for _, match in merger._files._known.values()]
    assert not any(old.tensors for match in matches for old in match.layers.values())
    merger.merge({key: value.float() for key, value in first.items()})
    merger.merge(file("lora", 0, "linear"))
    assert merger.times == 3


def test_files_that_took_more_than_matching_are_matched_again() -> None:
    """What is left out is named each time, and what is computed in reading is computed again."""
    own = file("lora", 0, "linear")
    stranger = {**own, "lora_unet_other.lora_up.weight": torch.ones(2, 2)}
    vector = {**own, f"{NAME}.alpha": torch.tensor([2.0])}  # read as a number
    shared = {**own, f"{NAME}.lora_mid.bias": own[f"{NAME}.alpha"]}
    merger = Counted(toy("linear")[0])
    for tensors, warned in ((stranger, True), (vector, False)):
        for _ in range(2):
            before = merger.times
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                merger.merge(tensors)
            assert bool(found) == warned and merger.times == before + 1
    assert known_files._keys(shared, by_layer(shared)) is None  # one tensor under two names


def test_the_toy_is_small_enough_for_one_block() -> None:
    """So that the contract's other tests see whole layers, and these ones blocks."""
    assert all(Toy(kind).layer.weight.numel() < adding.BLOCK for kind in LAYERS)
