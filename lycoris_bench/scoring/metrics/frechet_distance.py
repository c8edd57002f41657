"""How far the generated images' distribution is from the dataset's, over a whole checkpoint."""

from typing import Any

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.arrays import as_float64, unit
from lycoris_bench.scoring.metrics.base import Array, metric


@metric(better="lower", encoder="image", whole=True, equal_n=True, prompt_types=("train",))
def frechet_distance(generated: Any, reference: Any, weights: tuple[Any, Any]) -> float:
    """Frechet distance of the Gaussians fitted to both sets (in the study's tables, appendix D.4).

        FD = | mu_z - mu_r |^2 + tr( S_z + S_r - 2 (S_z S_r)^(1/2) )

    generated [n, d], reference [m, d], not normalised; weights: how much each image counts, [n]
    and [m], of any sum -> one number. S is the weighted sample covariance (divided by n - 1 where
    all weights are equal). It grows as n falls: only sets of equal size compare.
    Where the effective number of images, (sum w)² / sum w² (`scoring/effective_images.py`), is not
    above d, S is singular or nearly so and FD too large: the report says so under Provenance.

    With S = A^T A, A the weighted and centred features, tr (S_z S_r)^(1/2) is the sum of the
    singular values of A_z A_r^T: no root of a nearly singular product is taken, and fewer images
    than dimensions are no special case.

    Source: Dowson and Landau, J. Multivariate Analysis 1982; Heusel et al., NeurIPS 2017.
    """
    z, r = _checked(generated, "generated"), _checked(reference, "reference")
    if z.shape[1] != r.shape[1]:
        raise BenchError(
            f"generated has width {z.shape[1]} and reference {r.shape[1]}: "
            "they come from different encoders"
        )
    (mean_z, root_z), (mean_r, root_r) = (
        gaussian(one, weight, name)
        for one, weight, name in zip((z, r), weights, ("generated", "reference"), strict=True)
    )
    overlap = np.linalg.svd(root_z @ root_r.T, compute_uv=False).sum()
    spread = np.square(root_z).sum() + np.square(root_r).sum()
    return float(max(0.0, np.square(mean_z - mean_r).sum() + spread - 2 * overlap))


def gaussian(features: Array, weights: Any, name: str) -> tuple[Array, Array]:
    """(mean [d], A [k, d] with A^T A the covariance, k at most d) of weighted rows."""
    weight = as_float64(weights, f"weights of {name}")
    if weight.shape != (len(features),) or (weight < 0).any() or np.count_nonzero(weight) < 2:
        raise BenchError(
            f"weights of {name} has shape {list(weight.shape)}; its {len(features)} images need "
            "one each, none negative and at least two above zero: one image has no spread"
        )
    weight = weight / weight.sum()
    mean = weight @ features
    root = np.sqrt(weight / (1 - np.square(weight).sum()))[:, None] * (features - mean)
    if len(root) > root.shape[1]:  # the same product from d rows
        root = np.linalg.qr(root, mode="r")
    return mean, root


def _checked(values: Any, name: str) -> Array:
    unit(values, name)  # what has no direction is no feature, here as for all metrics
    return as_float64(values, name)
