"""Dissimilarity and variance: loops over all pairs, toys, groups, and the authors' numbers."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.scoring.metrics.centroid_distance import centroid_distance
from lycoris_bench.scoring.metrics.dissimilarity import dissimilarity
from lycoris_bench.scoring.metrics.image_similarity import image_similarity
from lycoris_bench.scoring.metrics.variance import variance

ONE = np.zeros(9, int)


def test_dissimilarity_is_that_of_all_pairs(sets, cosine):
    z = sets[0]
    pairs = [1 - cosine(a, b) for a, b in itertools.product(z, z)]  # an image with itself too
    assert dissimilarity(z, ONE) == pytest.approx(np.mean(pairs), abs=1e-13)


def test_variance_is_half_the_mean_squared_distance_of_all_pairs(sets):
    z = sets[0].astype(float)
    pairs = [sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) for a in z for b in z]
    assert variance(z, ONE) == pytest.approx(np.mean(pairs) / 2, rel=1e-12)


def test_dissimilarity_is_the_variance_of_unit_vectors(sets):
    z = sets[0].astype(float)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    assert dissimilarity(z, ONE) == pytest.approx(variance(unit, ONE), abs=1e-14)
    left = 1 - image_similarity(*sets).mean()
    spreads = [dissimilarity(one, np.zeros(len(one))) for one in sets]
    assert left == pytest.approx((centroid_distance(*sets) + sum(spreads)) / 2, abs=1e-13)


@pytest.mark.parametrize(
    ("features", "groups", "unlike", "spread"),
    [
        ([[3.0, 0.0], [3.0, 0.0]], [0, 0], 0.0, 0.0),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 0], 0.5, 0.5),
        ([[2.0, 0.0], [-2.0, 0.0]], [0, 0], 1.0, 4.0),
        # groups of unlike size: (0.5 + 0) / 2, and (9 + 0) / 2
        ([[3.0, 3.0], [3.0, -3.0], [1.0, 0.0]], [4, 4, 7], 0.25, 4.5),
    ],
)
def test_by_hand(features, groups, unlike, spread):
    assert dissimilarity(np.array(features), groups) == pytest.approx(unlike, abs=1e-15)
    assert variance(np.array(features), groups) == pytest.approx(spread, abs=1e-15)


@pytest.mark.parametrize("metric", [dissimilarity, variance])
def test_each_image_needs_a_group(metric, sets):
    with pytest.raises(ValueError, match=r"groups has shape \[4\]; the 9 images of generated"):
        metric(sets[0], ONE[:4])


def test_the_authors_pairs_have_each_image_with_itself(published):
    """A sample of 100 is less dissimilar than one of 1000 by a factor 0.991: the mean of n^2
    pairs is (1 - 1/n) of that of unlike pairs. If each image were left out of its own pairs, the
    mean ratio over classes would be 1. The same of a variance divided by n."""
    ratios = {"Dissimilarity": [], "Var": []}
    for name in ("imagenet", "anime_characters", "styles"):
        table = pd.read_csv(published / f"feature_relevance/all_diversity_{name}.csv")
        sizes = [table[table["Count"] == n].drop_duplicates("Folder") for n in (100, 500)]
        small, large = (part.set_index("Folder") for part in sizes)
        for kind, found in ratios.items():
            columns = [column for column in table if column.startswith(kind)]
            found.append((small[columns] / large[columns]).dropna(how="all").mean(axis=1))
    for (kind, found), sure in zip(ratios.items(), (3, 2), strict=True):  # standard errors
        ratio = pd.concat(found)
        assert len(ratio) > 200
        error = ratio.sem()
        assert ratio.mean() == pytest.approx(0.99 / 0.998, abs=3 * error)
        assert 1 - ratio.mean() > sure * error, kind
