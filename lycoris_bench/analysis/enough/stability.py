"""Does part of what was drawn order the configurations as all of it does?"""

import numpy as np

Array = np.ndarray


def means(scores: Array) -> Array:
    """[..., configurations, seeds, classes] -> [..., configurations]"""
    return scores.mean(axis=(-2, -1))


def kendall(first: Array, second: Array) -> Array:
    """Kendall's tau-b of orders over the last axis: 1 alike, 0 unrelated, -1 reversed; 0 where
    all of one are equal, which is no order.

    >>> kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).round(3)
    np.float64(0.333)
    """
    one, other = _signs(first), _signs(second)
    together = (one * other).sum(axis=-1)
    size = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    return np.divide(together, size, out=np.zeros(np.shape(together)), where=size > 0)[()]


def _signs(values: Array) -> Array:
    """Of all pairs; a sum in another order is a tie."""
    first, second = np.triu_indices(values.shape[-1], 1)
    return np.sign(np.round(values[..., first] - values[..., second], 12))
