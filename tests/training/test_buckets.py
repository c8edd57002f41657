"""Buckets are legal and cover every shape; the batches of an epoch hold each repeat once."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.data.dataset import scan
from lycoris_bench.training.buckets import epoch_batches, fit, nearest, sides, steps_per_epoch


def test_the_papers_buckets():
    """512x512 in steps of 64, 320..960, as the trainer the authors used makes them."""
    half = [(320, 704), (320, 768), (384, 640), (448, 576)]
    assert sides(512, 64, 320, 960) == sorted([*half, (512, 512), *((h, w) for w, h in half)])


@pytest.mark.parametrize(
    ("resolution", "step", "low", "high"),
    [(512, 64, 320, 960), (64, 8, 32, 128), (500, 24, 40, 900)],
)
def test_sides_are_legal_and_as_large_as_can_be(resolution, step, low, high):
    found = sides(resolution, step, low, high)
    for width, height in found:
        assert width % step == height % step == 0
        assert low <= min(width, height) and max(width, height) <= high
        assert width * height <= resolution**2
        assert (height, width) in found
        grown = [(width + step, height), (width, height + step)]
        assert any(max(g) > high or g[0] * g[1] > resolution**2 for g in grown)


@pytest.mark.parametrize(
    ("resolution", "step", "low", "high"),
    [(512, 64, 320, 960), (64, 8, 40, 96), (768, 64, 384, 1280)],
)
def test_sides_are_the_legal_pairs_that_are_tallest_or_widest(resolution, step, low, high):
    """The rule of D.2 by listing every legal pair: of one width the tallest, of one height the
    widest."""
    legal = [
        (w, h)
        for w in range(low, high + 1)
        for h in range(low, high + 1)
        if w % step == h % step == 0 and w * h <= resolution * resolution
    ]
    tallest = {(w, max(h for v, h in legal if v == w)) for w, _ in legal}
    widest = {(max(w for w, g in legal if g == h), h) for _, h in legal}
    assert set(sides(resolution, step, low, high)) == tallest | widest


def test_no_bucket_at_all_is_an_error():
    with pytest.raises(ValueError, match="multiples of 64 between 70 and 120"):
        sides(100, 64, 70, 120)


def test_nearest_is_by_log_ratio_as_a_naive_search_finds():
    found = sides(512, 64, 320, 960)
    rng = np.random.default_rng(3)
    for size in [*rng.integers(1, 2000, (50, 2)).tolist(), [1, 1], [1, 9000]]:
        gaps = [abs(np.log(w / h) - np.log(size[0] / size[1])) for w, h in found]
        assert np.isclose(gaps[found.index(nearest(found, tuple(size)))], min(gaps))


def test_fit_covers_and_crops_the_middle():
    """Thirds red, green, blue, twice too wide: the middle half is left, no bars, no squeeze."""
    image = Image.new("RGB", (96, 16), "red")
    image.paste("lime", (32, 0, 64, 16))
    image.paste("blue", (64, 0, 96, 16))
    fitted = np.asarray(fit(image, (48, 16)))
    assert fitted.shape == (16, 48, 3)
    assert fitted[8, [2, 24, 45]].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert fit(Image.new("RGB", (1, 1), "red"), (64, 32)).getpixel((63, 31)) == (255, 0, 0)


BUCKETS = ["wide", "square", "square", "wide", "tall", "square"]
REPEATS = [3, 1, 4, 2, 1, 5]


def batches(seed=23, epoch=1):
    return epoch_batches(BUCKETS, REPEATS, 4, seed=seed, epoch=epoch)


def test_every_repeat_is_seen_once_and_no_batch_mixes_buckets():
    for epoch in range(1, 6):
        made = batches(epoch=epoch)
        assert Counter(k for batch in made for k in batch) == Counter(dict(enumerate(REPEATS)))
        assert all(len({BUCKETS[k] for k in batch}) == 1 for batch in made)
        assert sorted(len(batch) for batch in made) == [1, 1, 2, 4, 4, 4]


def test_order_depends_on_seed_and_epoch_alone():
    assert batches() == batches()
    orders = [batches(seed, epoch) for seed in (23, 24) for epoch in (1, 2)]
    assert all(a != b for k, a in enumerate(orders) for b in orders[:k])


def test_steps_of_an_epoch(small_tree, training):
    """4 an epoch of each class: bunny 2 + 2 in two buckets, lake 4 with bunny's square ones."""
    assert steps_per_epoch(scan(small_tree), training) == 3 + 1
