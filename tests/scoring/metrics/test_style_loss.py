"""Style loss against loops over every matrix entry, and matrices made by hand."""

import numpy as np
import pytest
import torch

from lycoris_bench.scoring.metrics.style_loss import style_loss

WIDTHS = (2, 3, 5, 4, 4)


@pytest.fixture
def grams():
    """Two lists of five stacks of four Gram matrices."""
    rng = np.random.default_rng(11)

    def stack(width):
        maps = rng.normal(size=(4, width, 9)).astype(np.float32)
        return maps @ maps.transpose(0, 2, 1) / (9 * width)

    return [stack(w) for w in WIDTHS], [stack(w) for w in WIDTHS]


def test_against_loops(grams):
    generated, base = grams
    expected = []
    for i in range(4):
        total = 0.0
        for layer, width in enumerate(WIDTHS):
            for row in range(width):
                for column in range(width):
                    a, b = generated[layer][i, row, column], base[layer][i, row, column]
                    total += (float(a) - float(b)) ** 2
        expected.append(total)
    values = style_loss(generated, base)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_by_hand():
    """One layer differs by 3 in one entry and another by 1 in two: 9 + 2."""
    generated = [np.zeros((1, 2, 2)), np.zeros((1, 3, 3))]
    base = [np.array([[[0.0, 0.0], [0.0, 3.0]]]), np.zeros((1, 3, 3))]
    base[1][0, 0, 1] = base[1][0, 1, 0] = -1
    assert style_loss(generated, base).tolist() == [11.0]
    assert style_loss(base, base).tolist() == [0.0]


def test_torch_and_numpy_give_the_same(grams):
    generated, base = grams
    tensors = [torch.from_numpy(g) for g in generated], [torch.from_numpy(b) for b in base]
    np.testing.assert_array_equal(style_loss(*tensors), style_loss(generated, base))


def test_a_joint_order_does_not_matter_but_the_pairing_does(grams):
    generated, base = grams
    values = style_loss(generated, base)
    both = style_loss([g[::-1] for g in generated], [b[::-1] for b in base])
    np.testing.assert_array_equal(both, values[::-1])
    assert abs(style_loss(generated, [b[::-1] for b in base]) - values).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, b: (g[:4], b), "4 layers and base 5"),
        (lambda g, b: ([], []), "0 layers"),
        (lambda g, b: ([x[:3] for x in g], b), "its own prompt and seed"),
        (lambda g, b: ([x[:0] for x in g], [x[:0] for x in b]), r"\[0, 2, 2\]"),
        (lambda g, b: ([x[:, 0] for x in g], [x[:, 0] for x in b]), "images, channels, channels"),
        (lambda g, b: ([*g[:4], g[4][:3]], [*b[:4], b[4][:3]]), r"layer 4 has shape \[3, 4, 4\]"),
        (lambda g, b: ([x * np.nan for x in g], b), "generated has 4 values of 4"),
    ],
)
def test_bad_input_is_a_sentence(grams, change, message):
    with pytest.raises(ValueError, match=message):
        style_loss(*change(*grams))
