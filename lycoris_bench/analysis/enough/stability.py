"""Does part of what was drawn order the configurations as all of it does?"""

import numpy as np

from lycoris_bench.analysis.trust import orders

Array = np.ndarray


def means(scores: Array) -> Array:
    """[..., configurations, seeds, classes] -> [..., configurations]"""
    return scores.mean(axis=(-2, -1))


def kendall(first: Array, second: Array) -> Array:
    """Kendall's tau-b of orders over the last axis; 0 where all of one are equal, which is no
    order.

    >>> kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).round(3)
    np.float64(0.333)
    """
    return np.nan_to_num(orders.kendall(first, second))[()]
