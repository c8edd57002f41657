"""The Vendi score against the package of its authors, a naive loop and sets made by hand."""

import numpy as np
import pytest
import vendi_score.vendi

from lycoris_bench.scoring.metrics.vendi import effective_number, vendi

peer = pytest.mark.filterwarnings("ignore:Please import `csr_matrix`:DeprecationWarning")


def naive(features, cosine):
    """Entropy through a general eigensolver of the kernel filled in pair by pair."""
    n = len(features)
    kernel = np.array([[cosine(a, b) / n for b in features] for a in features])
    shares = np.linalg.eigvals(kernel).real
    return float(np.exp(-sum(s * np.log(s) for s in shares if s > 1e-12)))


def test_against_a_naive_loop(sets, cosine):
    generated = sets[0]
    found = vendi(generated, np.zeros(9, dtype=int))
    assert found == pytest.approx(naive(generated, cosine), rel=1e-8)


@peer
@pytest.mark.parametrize("shape", [(1, 4), (2, 300), (20, 8), (100, 64)])
def test_against_the_authors_package(shape):
    features = np.random.default_rng(1).normal(loc=0.5, size=shape)
    expected = vendi_score.vendi.score_X(features)
    assert vendi(features, np.zeros(len(features), dtype=int)) == pytest.approx(expected, rel=1e-9)


@peer
def test_groups_of_unequal_size_are_averaged_with_equal_weight():
    features = np.random.default_rng(2).normal(loc=0.3, size=(23, 16))
    groups = np.random.default_rng(3).permutation([4] * 9 + [0] * 7 + [9] * 7)
    expected = np.mean(
        [vendi_score.vendi.score_X(features[groups == group]) for group in (0, 4, 9)]
    )
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


def test_a_stack_equals_its_sets_one_by_one():
    stack = np.random.default_rng(5).normal(size=(6, 7, 10))
    stack /= np.linalg.norm(stack, axis=2, keepdims=True)
    together = effective_number(stack)
    alone = [effective_number(one[None])[0] for one in stack]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_a_group_for_each_image():
    with pytest.raises(ValueError, match=r"groups has shape \[2\]; the 3 images"):
        vendi(np.eye(3), np.zeros(2, dtype=int))
