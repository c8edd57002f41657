"""Image similarity and centroid distance: loops, toys, their identity, invariances."""

import numpy as np
import pytest

from lycoris_bench.scoring.metrics.centroid_distance import centroid_distance
from lycoris_bench.scoring.metrics.image_similarity import image_similarity

X, Y = [1.0, 0.0], [0.0, 1.0]


def test_similarity_is_the_mean_cosine_of_all_pairs(sets, cosine):
    generated, reference = sets
    values = image_similarity(generated, reference)
    assert values.dtype == np.float64 and values.shape == (9,)
    for value, z in zip(values, generated, strict=True):
        assert value == pytest.approx(np.mean([cosine(z, r) for r in reference]), abs=1e-14)


def test_distance_is_that_of_the_mean_unit_vectors(sets):
    generated, reference = sets
    means = []
    for features in sets:
        total = [0.0] * 12
        for z in features:
            norm = sum(float(v) ** 2 for v in z) ** 0.5
            total = [t + float(v) / norm / len(features) for t, v in zip(total, z, strict=True)]
        means.append(total)
    expected = sum((a - b) ** 2 for a, b in zip(*means, strict=True))
    assert centroid_distance(generated, reference) == pytest.approx(expected, abs=1e-14)


def test_identity_of_similarity_and_distance(sets):
    """1 - S_C = (SCD + Var z + Var r) / 2, with the variance about each set's own mean."""
    generated, reference = sets

    def variance(features):
        unit = features.astype(float) / np.linalg.norm(features.astype(float), axis=1)[:, None]
        return np.mean([np.sum((z - unit.mean(axis=0)) ** 2) for z in unit])

    left = 1 - image_similarity(generated, reference).mean()
    distance = centroid_distance(generated, reference)
    right = (distance + variance(generated) + variance(reference)) / 2
    assert left == pytest.approx(right, abs=1e-13)


@pytest.mark.parametrize(
    ("generated", "reference", "similarity", "distance"),
    [
        ([X], [X], 1.0, 0.0),
        ([X], [Y], 0.0, 2.0),
        ([X], [[-2.0, 0.0]], -1.0, 4.0),
        ([X, Y], [X, Y], 0.5, 0.0),  # the same set is not similar to itself by 1 if it varies
        ([X, Y], [X], 0.5, 0.5),
    ],
)
def test_by_hand(generated, reference, similarity, distance):
    found = image_similarity(np.array(generated), np.array(reference)).mean()
    assert found == pytest.approx(similarity, abs=1e-15)
    found = centroid_distance(np.array(generated), np.array(reference))
    assert found == pytest.approx(distance, abs=1e-15)


def test_neither_scale_nor_order_matters(sets):
    generated, reference = sets
    order = np.random.default_rng(0).permutation(9)
    scale = np.geomspace(1e-3, 1e3, 9)[:, None]
    before = image_similarity(generated, reference)
    after = image_similarity((generated * scale)[order], 4 * reference[::-1])
    np.testing.assert_allclose(after, before[order], atol=1e-14)
    assert centroid_distance((generated * scale)[order], 4 * reference[::-1]) == pytest.approx(
        centroid_distance(generated, reference), abs=1e-14
    )
