"""How each algorithm begins: spreads of random factors, and what is exactly 0, 1 or |W|."""

import pytest
import torch

from lycoris_bench.adapters.algorithms import ALGORITHMS
from tests.support.forms import FORMS

LINEAR, KERNEL = (1600, 1600), (40, 400, 3, 3)


def uniform(fan_in: int) -> float:
    """The standard deviation of what is uniform within ±1/√fan_in."""
    return (3 * fan_in) ** -0.5


@pytest.mark.parametrize(("algorithm", "options", "shape", "name", "std"), [
    ("lora", {}, LINEAR, "lora_down.weight", uniform(1600)),
    ("lora", {"dim": 20, "use_tucker": True}, KERNEL, "lora_mid.weight", uniform(20 * 9)),
    ("lora", {"dim": 20, "use_tucker": True}, KERNEL, "lora_down.weight", uniform(400)),
    ("dylora", {}, LINEAR, "lora_down.weight", uniform(1600)),
    ("loha", {}, LINEAR, "hada_w1_a", 0.1),
    ("loha", {}, LINEAR, "hada_w1_b", 1.0),
    ("loha", {}, LINEAR, "hada_w2_b", 1.0),
    ("loha", {"dim": 20, "use_tucker": True}, KERNEL, "hada_t1", 0.1),
    ("loha", {"dim": 20, "use_tucker": True}, KERNEL, "hada_t2", 0.1),
    ("lokr", {}, LINEAR, "lokr_w1", uniform(8)),
    ("lokr", {"factor": 40, "dim": 9, "decompose_both": True}, LINEAR, "lokr_w1_a", uniform(9)),
    ("lokr", {"factor": 40, "dim": 9, "decompose_both": True}, LINEAR, "lokr_w1_b", uniform(40)),
    ("lokr", {"factor": 2, "dim": 9}, LINEAR, "lokr_w2_a", uniform(9)),
    ("lokr", {"factor": 2, "dim": 16, "use_tucker": True}, KERNEL, "lokr_t2", uniform(16 * 9)),
    ("glora", {}, LINEAR, "a1.weight", uniform(8)),
    ("glora", {}, LINEAR, "b1.weight", uniform(8)),
])  # fmt: skip
def test_spread(algorithm: str, options: dict, shape: tuple, name: str, std: float) -> None:
    generator = torch.Generator().manual_seed(0)
    adapter = ALGORITHMS.get(algorithm)(torch.ones(shape), None, generator, **options)
    values = adapter.tensors()[name].detach()
    assert float(values.std()) == pytest.approx(std, rel=0.15)
    assert float(values.mean()) == pytest.approx(0, abs=5 * std / values.numel() ** 0.5)
    if std not in (0.1, 1.0):  # uniform: nothing beyond the bound, something near it
        bound = std * 3**0.5
        assert 0.85 * bound < float(values.abs().max()) <= bound * (1 + 1e-6)


@pytest.mark.parametrize(("algorithm", "zero"), [
    ("lora", "lora_up.weight"), ("dylora", "lora_up.weight"), ("loha", "hada_w2_a"),
    ("lokr", "lokr_w2"), ("glora", "a2.weight"), ("glora", "b2.weight"), ("ia3", "weight"),
    ("diag-oft", "oft_blocks"), ("boft", "oft_blocks"), ("full", "diff"),
])  # fmt: skip
def test_what_makes_the_change_0(algorithm: str, zero: str) -> None:
    adapter = ALGORITHMS.get(algorithm)(torch.randn(20, 12), None)
    assert not adapter.tensors()[zero].any()


@pytest.mark.parametrize(("algorithm", "factor", "fan_in"), [
    ("lora", "up", 8), ("loha", "w2a", 4), ("lokr", "factors.lokr_w2", 200),
    ("glora", "a2", 1600), ("glora", "b2", 1600),
])  # fmt: skip
def test_with_a_scalar_the_scalar_is_0_instead(algorithm: str, factor: str, fan_in: int) -> None:
    generator = torch.Generator().manual_seed(0)
    kind = ALGORITHMS.get(algorithm)
    adapter = kind(torch.ones(LINEAR), None, generator, use_scalar=True)
    values = adapter.get_parameter(factor).detach()
    assert float(values.std()) == pytest.approx(uniform(fan_in), rel=0.15)
    assert adapter.scalar.shape == () and not adapter.scalar.any()


@pytest.mark.parametrize("algorithm", FORMS)
def test_the_ratio_of_rs_lora_is_alpha_over_root_dim(algorithm: str) -> None:
    """Readers divide by dim: alpha·√dim is stored, so that they find it."""
    kind = ALGORITHMS.get(algorithm)
    if "rs_lora" not in kind.options():
        with pytest.raises(ValueError, match="unknown option 'rs_lora'"):
            kind.check(rs_lora=True)
        return
    options = {"dim": 4, "alpha": 3, **({"factor": 2} if algorithm == "lokr" else {})}
    alpha = kind(torch.ones(64, 64), **options, rs_lora=True).tensors()["alpha"]
    assert float(alpha) / 4 == pytest.approx(3 / 4**0.5)
    assert float(kind(torch.ones(64, 64), **options).tensors()["alpha"]) == 3


def test_magnitudes_start_at_the_norms_of_the_weight() -> None:
    weight = torch.randn(20, 12, 3, 3)
    for algorithm in ("lora", "loha", "lokr"):
        kind = ALGORITHMS.get(algorithm)
        inner = kind(weight, dora_wd=True).tensors()["dora_scale"]
        assert inner.shape == (1, 12, 1, 1)
        wanted = [float(weight[:, i].double().norm()) for i in range(12)]
        assert inner.flatten().tolist() == pytest.approx(wanted)
        outer = kind(weight, dora_wd=True, wd_on_output=True).tensors()["dora_scale"]
        assert outer.shape == (20, 1, 1, 1)
        wanted = [float(row.double().norm()) for row in weight]
        assert outer.flatten().tolist() == pytest.approx(wanted)
    for algorithm in ("diag-oft", "boft"):
        options = {"dim": 10, "rescaled": True, "constraint": 0.125}
        tensors = ALGORITHMS.get(algorithm)(weight, **options).tensors()
        assert tensors["rescale"].shape == (20, 1, 1, 1) and bool((tensors["rescale"] == 1).all())
        assert float(tensors["alpha"]) == 0.125


def test_the_parts_of_lokr() -> None:
    """64 = 4 · 16: the larger part of o is w2's, or w1's where it is unbalanced; the alpha of
    two whole blocks, which means nothing, is dim."""
    kind = ALGORITHMS.get("lokr")
    for options, first, second in (({}, 4, 16), ({"unbalanced_factorization": True}, 16, 4)):
        tensors = kind(torch.ones(64, 32), factor=4, dim=100, alpha=7, **options).tensors()
        assert tensors["lokr_w1"].shape == (first, 4) and tensors["lokr_w2"].shape == (second, 8)
        assert float(tensors["alpha"]) == 100
