"""Nearness to training images: loops, a proof by enumeration of how often real images count as
copies, the world's held-out images, and copies that are made by hand."""

import itertools

import numpy as np
import pytest

import lycoris_bench as lb
from benchmarks.copying import WORLD, real_rates
from lycoris_bench.data.images import read_image
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.copy_quantile import copy_quantile
from lycoris_bench.scoring.metrics.copy_rate import copy_rate
from lycoris_bench.scoring.metrics.nearest import TRAINING, among_real, nearest, partners
from lycoris_bench.scoring.metrics.nearest_similarity import nearest_similarity

COPY_METRICS = ["nearest_similarity", "copy_quantile", "copy_rate"]


def loop(generated, training, cosine):
    """By image: its nearest training image, the cosine, and how many a_j are below."""
    among = [
        max(cosine(a, b) for j, b in enumerate(training) if j != i) for i, a in enumerate(training)
    ]
    for z in generated:
        cosines = [cosine(z, r) for r in training]
        s = max(cosines)
        yield cosines.index(s), s, sum(a < s for a in among)


def test_all_three_are_loops(sets, cosine):
    generated, training = sets
    found = list(loop(generated, training, cosine))
    assert partners(generated, training) == [row for row, _, _ in found]
    expected = [s for _, s, _ in found]
    np.testing.assert_allclose(nearest_similarity(generated, training), expected, atol=1e-14)
    m = len(training)
    quantiles = [below / (m + 1) for _, _, below in found]
    np.testing.assert_allclose(copy_quantile(generated, training), quantiles, atol=1e-14)
    rates = [float(below == m) for _, _, below in found]
    np.testing.assert_array_equal(copy_rate(generated, training), rates)


@pytest.mark.parametrize("m", [2, 4, 9, 30])
@pytest.mark.parametrize("width", [2, 16])
def test_of_m_plus_1_images_two_are_copies_of_the_others(m, width):
    """Each left out in turn: those of the closest pair, whatever the features. As images of one
    distribution are left out in any order alike often, a real one is a copy in 2 of m + 1 cases."""
    images = np.random.default_rng(m).normal(loc=0.3, size=(m + 1, width))
    left_out = [copy_rate(images[[k]], np.delete(images, k, axis=0))[0] for k in range(m + 1)]
    unit = images / np.linalg.norm(images, axis=1, keepdims=True)
    closest = max(itertools.combinations(range(m + 1), 2), key=lambda p: unit[p[0]] @ unit[p[1]])
    assert np.flatnonzero(left_out).tolist() == sorted(closest)


def test_a_set_is_not_taken_in_pieces(monkeypatch):
    monkeypatch.setattr("lycoris_bench.scoring.metrics.nearest.AT_ONCE", 3)
    rng = np.random.default_rng(0)
    generated, training = rng.normal(size=(10, 5)), rng.normal(size=(7, 5))
    whole = generated / np.linalg.norm(generated, axis=1, keepdims=True)
    whole = whole @ (training / np.linalg.norm(training, axis=1, keepdims=True)).T
    cosines, rows = nearest(generated, training)
    np.testing.assert_allclose(cosines, whole.max(axis=1), atol=1e-15)
    assert rows.tolist() == whole.argmax(axis=1).tolist()


def test_the_same_image_twice_is_one():
    """Else nothing were above what two copies of one training image have between them."""
    rng = np.random.default_rng(1)
    training = rng.normal(size=(5, 8))
    copy = training[[2]] + 1e-3
    twice = np.concatenate([training, training[:1], 3 * training[:1]])
    np.testing.assert_allclose(among_real(twice), among_real(training), atol=1e-14)
    assert copy_rate(copy, training) == copy_rate(copy, np.concatenate([training, training[:1]]))
    with pytest.raises(BenchError, match="no two images that differ"):
        copy_rate(copy, np.concatenate([training[:1], training[:1]]))


def test_one_training_image_has_no_other(tmp_path):
    rng = np.random.default_rng(2)
    images = list(rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    with pytest.raises(BenchError, match="'copy_rate' needs two different images of the dataset"):
        lb.score_images(
            images[:2], reference=images[2:], encoders=["miniature-image"], metrics=["copy_rate"]
        )
    assert TRAINING.collection == "reference"


@pytest.mark.study
def test_held_out_images_of_the_world_are_copies_as_often_as_chance_says():
    rows = list(real_rates("miniature-image"))
    rates = np.array([rate for _, _, rate in rows])
    expected = np.mean([2 / (m + 1) for _, m, _ in rows])
    assert len(rows) == 39
    error = rates.std(ddof=1) / len(rows) ** 0.5
    assert abs(rates.mean() - expected) < 3 * error


@pytest.mark.study
@pytest.mark.parametrize("encoder", ["miniature-image", "miniature-image-text"])
def test_training_images_with_noise_are_copies(encoder):
    """Nearly all of them, though the noise is there to see (two of a class may be as near to each
    other); held-out images of the same classes are no more often than chance says."""
    rng, rates = np.random.default_rng(3), {"copied": [], "held out": [], "chance": []}
    for folder in sorted((WORLD / "dataset" / "toys").iterdir()):
        files = sorted(folder.glob("*.png"))
        sides = {
            "copied": [
                (image + rng.normal(0, 3, image.shape)).clip(0, 255)
                for image in (np.asarray(read_image(f)) for f in files)
            ],
            "held out": [
                read_image(f)
                for f in sorted((WORLD / "heldout" / "toys" / folder.name).glob("*.png"))
            ],
        }
        for name, images in sides.items():
            table = lb.score_images(
                [np.asarray(image, dtype=np.uint8) for image in images], reference=folder,
                encoders=[encoder], metrics=COPY_METRICS,
            )  # fmt: skip
            rates[name].append(table.set_index("metric")["value"]["copy_rate"])
        rates["chance"].append(2 / (len(files) + 1))
    means = {name: np.mean(values) for name, values in rates.items()}
    assert means["copied"] > 0.85 and means["held out"] < 2 * means["chance"]
