"""Style loss against the dataset: the loop over all pairs, in whatever batches sets are seen."""

import numpy as np
import pytest

from lycoris_bench.scoring.metrics.gram_statistics import GramSet
from lycoris_bench.scoring.metrics.style_loss import style_loss
from lycoris_bench.scoring.metrics.style_loss_to_dataset import style_loss_to_dataset


def grams(images, seed, offset=0.0, widths=(3, 5)):
    rng = np.random.default_rng(seed)
    maps = [rng.normal(size=(images, c, 7)) + offset for c in widths]
    return [(f @ f.transpose(0, 2, 1)).astype(np.float32) for f in maps]


def pooled(layers, size):
    one = GramSet()
    for k in range(0, len(layers[0]), size):
        one.add([layer[k : k + size] for layer in layers])
    return one


@pytest.mark.parametrize("size", [1, 3, 100])
def test_all_pairs_in_batches_of_any_size(size):
    generated, reference = grams(7, 0), grams(4, 1, offset=0.3)
    pairs = [
        sum(np.square(g[i].astype(float) - r[j]).sum() for g, r in layers)
        for layers in [list(zip(generated, reference, strict=True))]
        for i in range(7)
        for j in range(4)
    ]
    expected = np.mean(pairs)
    found = style_loss_to_dataset(pooled(generated, size), pooled(reference, size))
    assert found == pytest.approx(expected, rel=1e-12)


def test_of_single_images_it_is_the_style_loss():
    one, other = grams(1, 0), grams(1, 1)
    found = style_loss_to_dataset(pooled(one, 1), pooled(other, 1))
    assert found == pytest.approx(style_loss(one, other)[0], rel=1e-12)


def test_a_large_common_part_does_not_cancel():
    """Sums of squares would lose all digits of a variance of 1 beside a mean of 10^8."""
    values = np.array([-1.0, 1.0, -1.0, 1.0]).reshape(4, 1, 1) + 1e8
    assert pooled([values], 3).variance == pytest.approx(1.0, rel=1e-6)


def test_nothing_and_unlike_shapes_are_refused():
    full = pooled(grams(2, 0), 2)
    with pytest.raises(ValueError, match="^reference has no Gram matrices: there is nothing"):
        style_loss_to_dataset(full, GramSet())
    with pytest.raises(ValueError, match="they come from different encoders"):
        style_loss_to_dataset(full, pooled(grams(2, 0, widths=(3, 4)), 2))
    with pytest.raises(ValueError, match="cannot join a set of"):
        full.add(grams(2, 0, widths=(3,)))
