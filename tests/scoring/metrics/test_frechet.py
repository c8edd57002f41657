"""Frechet distance: scipy's matrix square root, closed forms, weights, and the authors' table."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm

from lycoris_bench.scoring.metrics.frechet_distance import frechet_distance


def naive(z, r, weights_z, weights_r):
    """The formula as it is written, with numpy's weighted covariance and scipy's root."""
    means = [np.average(x, axis=0, weights=w) for x, w in ((z, weights_z), (r, weights_r))]
    a, b = (np.cov(x, rowvar=False, aweights=w) for x, w in ((z, weights_z), (r, weights_r)))
    ridge = 1e-12 * np.eye(len(a))
    root = sqrtm((a + ridge) @ (b + ridge)).real
    return np.square(means[0] - means[1]).sum() + np.trace(a + b - 2 * root)


def equal(*sets):
    return tuple(np.ones(len(one)) for one in sets)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 60, 6), (7, 50, 6), (40, 5, 12), (5, 4, 12)])
def test_against_the_matrix_square_root(n, m, d):
    """More and fewer images than dimensions, on either side; rows scaled unlike."""
    rng = np.random.default_rng(n)
    z, r = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 2, rng.normal(size=(m, d)) * 3 - 1
    weights = rng.uniform(0.5, 2, n), rng.uniform(0.1, 3, m)
    expected = naive(z, r, *weights)
    assert frechet_distance(z, r, weights) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(z, r, equal(z, r)) == pytest.approx(naive(z, r, *equal(z, r)), rel=1e-4)


def test_one_dimension_by_hand():
    """(mean - mean)^2 + (sd - sd)^2: means 2 and 6, sample deviations 1 and 3."""
    z, r = np.array([[1.0], [2.0], [3.0]]), np.array([[3.0], [6.0], [9.0]])
    assert frechet_distance(z, r, equal(z, r)) == pytest.approx(16 + 4, abs=1e-12)


def test_diagonal_covariances_add_up_over_the_dimensions():
    """Columns that are uncorrelated in the sample: the sum of one-dimensional distances."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], float)
    z, r = signs * [1.0, 5.0] + [1.0, 10.0], signs * [4.0, 2.0]
    deviation = (4 / 3) ** 0.5  # of +-1 in four rows, divided by n - 1
    expected = 1 + 100 + deviation**2 * ((1 - 4) ** 2 + (5 - 2) ** 2)
    assert frechet_distance(z, r, equal(z, r)) == pytest.approx(expected, rel=1e-12)


def test_a_shift_adds_its_square_and_a_set_is_at_zero_from_itself():
    z = np.random.default_rng(1).normal(size=(9, 30)) + 1
    assert frechet_distance(z, z[::-1], equal(z, z)) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(z, z + 0.5, equal(z, z)) == pytest.approx(30 * 0.25, rel=1e-10)


def test_a_weight_of_two_is_an_image_that_is_there_twice():
    """In the limit of many images: the covariance of repeats differs by 1/n, and no more."""
    rng = np.random.default_rng(2)
    z, r = rng.normal(size=(4000, 3)) + 1, rng.normal(size=(2000, 3)) * 2
    weights = np.where(np.arange(4000) < 1000, 2.0, 1.0)
    repeated = np.concatenate([z[:1000], z])
    found = frechet_distance(z, r, (weights, np.ones(2000)))
    expected = frechet_distance(repeated, r, equal(repeated, r))
    assert found == pytest.approx(expected, rel=1e-3)
    assert abs(found - frechet_distance(z, r, equal(z, r))) > 0.5 * abs(found - expected)
    assert frechet_distance(z, r, (5 * weights, 7 * np.ones(2000))) == pytest.approx(found)


@pytest.mark.parametrize("weights", [[1.0], [1, 1, -1], [0, 0, 1], [[1, 1, 1]]])
def test_weights_are_one_an_image_and_of_two_images_at_least(weights):
    z = np.eye(3)
    with pytest.raises(ValueError, match=r"^weights of reference has shape .* need one each"):
        frechet_distance(z, z, (np.ones(3), np.array(weights)))


def test_the_authors_numbers_are_those_of_train_prompts(published):
    """Their table has one number a checkpoint. It follows the centroid distance on train prompts
    (rank correlation over 0.9 in 189 checkpoints), and that on no other type nearly so well."""
    table = pd.read_csv(published / "metrics/ddim_sd15_fd.csv").set_index("Folder")
    means = pd.read_csv(published / "metrics/ddim_sd15_metrics_mean.csv").set_index("Folder")
    for encoder in ("dinov2-l-fb-resize", "clip-L-14-resize", "convnextv2-l-resize"):
        names = {
            k: f"Squared Centroid Distance ({encoder}) ({k})" for k in ("in", "out", "trigger")
        }
        both = means[list(names.values())].join(table[f"FD ({encoder})"], how="inner")
        assert len(both) == 189
        rho = {k: both[n].corr(both[f"FD ({encoder})"], "spearman") for k, n in names.items()}
        assert rho["in"] > 0.9 and max(rho["out"], rho["trigger"]) < 0.82
