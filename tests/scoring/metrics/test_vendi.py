"""The Vendi score against its equation in naive loops and sets made by hand."""

import numpy as np
import pytest
import vendi_score.vendi
from threadpoolctl import threadpool_info, threadpool_limits

from lycoris_bench.scoring.metrics.vendi import vendi


def naive(features, cosine):
    """Entropy of the n x n kernel filled in pair by pair, whatever n and d are."""
    n = len(features)
    kernel = np.array([[cosine(a, b) / n for b in features] for a in features])
    shares = np.linalg.eigvalsh(kernel)
    return float(np.exp(-sum(s * np.log(s) for s in shares if s > 0)))


SETS = {
    "one image": (1, 4),
    "two images": (2, 30),
    "more features than images": (9, 12),
    "as many": (8, 8),
    "more images than features": (20, 8),
}


@pytest.mark.parametrize("shape", SETS.values(), ids=SETS)
@pytest.mark.parametrize("copies", [1, 2])
def test_against_naive_loops(cosine, shape, copies):
    """With exact duplicates, too: their eigenvalues are zero but for rounding of either sign."""
    features = np.random.default_rng(1).normal(loc=0.5, size=shape)
    features = np.repeat(features, copies, axis=0)
    found = vendi(features, np.zeros(len(features), dtype=int))
    assert found == pytest.approx(naive(features, cosine), rel=1e-9)


def test_groups_of_unequal_size_are_averaged_with_equal_weight(cosine):
    features = np.random.default_rng(2).normal(loc=0.3, size=(13, 6))
    groups = np.random.default_rng(3).permutation([4] * 5 + [0] * 4 + [9] * 4)
    expected = np.mean([naive(features[groups == group], cosine) for group in (0, 4, 9)])
    assert vendi(features, groups) == pytest.approx(expected, rel=1e-9)


def test_by_hand():
    """Orthogonal images count one each; copies count once; two at 60 degrees lie between."""
    zeros = np.zeros(4, dtype=int)
    assert vendi(np.eye(4), zeros) == pytest.approx(4)
    assert vendi(np.ones((4, 6)), zeros) == pytest.approx(1)
    assert vendi(np.repeat(np.eye(2), 2, axis=0), zeros) == pytest.approx(2)
    assert vendi(np.eye(4), np.arange(4)) == pytest.approx(1)
    # eigenvalues of K/2 with K_12 = 1/2: 3/4 and 1/4
    sixty = np.array([[1.0, 0.0], [0.5, 0.75**0.5]])
    assert vendi(sixty, zeros[:2]) == pytest.approx(4 / 3**0.75)


def test_neither_scale_nor_order_nor_group_names_matter(sets):
    generated, groups = sets[0][:8], np.array([0, 0, 0, 0, 1, 1, 1, 1])
    before = vendi(generated, groups)
    order = np.random.default_rng(4).permutation(8)
    scale = np.geomspace(1e-3, 1e3, 8)[:, None]
    after = vendi((generated * scale)[order], 70 - groups[order])
    assert after == pytest.approx(before, rel=1e-12)


def test_linear_algebra_has_one_thread_and_then_what_it_had(monkeypatch):
    def threads():
        return {b["num_threads"] for b in threadpool_info() if b["user_api"] == "blas"}

    seen = []
    real = vendi_score.vendi.score_dual
    monkeypatch.setattr(
        vendi_score.vendi, "score_dual", lambda *a, **k: seen.append(threads()) or real(*a, **k)
    )
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        vendi(np.eye(4), np.array([0, 0, 1, 1]))
        assert threads() == before
    assert len(seen) == 2 and set().union(*seen) <= {1}  # none where BLAS cannot be asked


def test_a_group_for_each_image():
    with pytest.raises(ValueError, match=r"groups has shape \[2\]; the 3 images"):
        vendi(np.eye(3), np.zeros(2, dtype=int))
