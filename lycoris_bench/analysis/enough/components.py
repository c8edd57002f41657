"""Variance components of paired differences of scores, as a function of the number of images."""

from dataclasses import dataclass

import numpy as np

from lycoris_bench.analysis.comparing.mean_squares import Components, mean_squares
from lycoris_bench.analysis.enough.sampled import Sampled

Array = np.ndarray


@dataclass(frozen=True)
class ByImages:
    """component(n) = whole + per_image (1 / n - 1 / images): a part that more images do not remove,
    and one that n images average.

    whole: of sets of `images` images; per_image: of a single image, of which all seeds of a class
    share `of_classes`. All are in the scores that `images` images give. least: images that the
    metric needs. shared: of a single image, what all classes and seeds share, as image k has the
    same noise everywhere: nothing averages it but more images, and no error counts it."""

    whole: Components
    per_image: Components
    images: int
    least: int = 1
    shared: float = 0.0

    def at(self, images: int) -> Components:
        """Of sets of so many images. No estimate is below 0, nor does what images average make up
        more than the whole."""
        more = 1 / images - 1 / self.images

        def of(name: str) -> float:
            whole = max(0.0, float(getattr(self.whole, name)))
            each = min(max(0.0, float(getattr(self.per_image, name))), self.images * whole)
            return whole + more * each

        return Components(of("of_seeds"), of("of_classes"), of("residual"))

    @property
    def fixed(self) -> Components:
        """What no number of images removes; estimates may lie below 0."""
        whole, each, n = self.whole, self.per_image, self.images
        return Components(
            whole.of_seeds - each.of_seeds / n,
            whole.of_classes - each.of_classes / n,
            whole.residual - each.residual / n,
        )


def pair_components(scores: Array) -> Components:
    """The mean over all pairs of configurations, of complete scores [..., configurations, seeds,
    classes]; estimates may lie below 0.

    mean over pairs Q(x_i - x_j) = 2 / (K - 1) sum_i Q(x_i - mean x), for any quadratic form Q."""
    of_each = mean_squares(_centred(scores)).components
    twice = 2 / (scores.shape[-3] - 1)
    parts = (of_each.of_seeds, of_each.of_classes, of_each.residual)
    return Components(*(twice * np.sum(part, axis=-1) for part in parts))


def mean_of(subsets: Array) -> Components:
    """The mean components of subsets [subsets, configurations, seeds, classes]."""
    return pair_components(subsets).mean()


def by_images(scores: Sampled) -> ByImages | None:
    """Least squares over the numbers of images, through the components of all images. None: the
    scores of subsets of the images are not known."""
    if not scores.of_images:
        return None
    whole, of_images = scores.whole, scores.of_images
    at_all = mean_of(whole[None])
    more = 1 / np.array([*of_images]) - 1 / scores.images
    measured = [in_scores_of(whole, subsets) for subsets in of_images.values()]

    def slope(name: str) -> float:
        rise = np.array([getattr(parts, name) - getattr(at_all, name) for parts in measured])
        return float(more @ rise / (more @ more))

    fewest = min(of_images)
    shared = shared_by_classes(of_images[fewest]) / reach(whole, of_images[fewest]) ** 2
    each = Components(0.0, slope("of_classes"), slope("residual"))
    return ByImages(at_all, each, scores.images, scores.least, fewest * shared)


def in_scores_of(whole: Array, subsets: Array) -> Components:
    """The mean components of subsets, in the scores of the whole: ranks of few images are spread as
    those of many are, so that noise pushes differences together, and `reach` is undone."""
    parts, squared = mean_of(subsets), reach(whole, subsets) ** 2
    return Components(
        parts.of_seeds / squared, parts.of_classes / squared, parts.residual / squared
    )


def reach(whole: Array, subsets: Array) -> float:
    """How large a difference of two configurations in the scores of the whole is in those of
    disjoint subsets of its images: the slope of the configurations' means.

    Of m subsets it is between the root of 1 / m, where images differ by chance alone, and 1, where
    they do not differ; an estimate from configurations that are nearly equal may not be."""
    of_whole, of_mean = (_centred(s).mean(axis=(-2, -1)) for s in (whole, subsets.mean(axis=0)))
    power = float(of_whole @ of_whole)
    slope = float(of_mean @ of_whole) / power if power > 0 else 1.0
    return min(1.0, max(slope, len(subsets) ** -0.5))


def shared_by_classes(subsets: Array) -> float:
    """The component of a difference that all classes share in one subset of images: the variance
    between subsets [subsets, configurations, seeds, classes] that classes do not average."""
    over_seeds = np.moveaxis(subsets.mean(axis=-2), 0, -2)  # configurations, subsets, classes
    return float(pair_components(over_seeds).of_seeds)


def _centred(scores: Array) -> Array:
    return scores - scores.mean(axis=-3, keepdims=True)
