"""The Gram matrix of a feature map: which channels fire together, wherever in the image."""

from torch import Tensor


def gram_matrix(maps: Tensor) -> Tensor:
    """G = F F^T / (c h w), F the map as c rows of h w numbers (paper, appendix D.4).

    [n, c, h, w] -> [n, c, c]. Divided by the number of entries, so that the size of an image
    does not decide its style."""
    n, c, h, w = maps.shape
    # scaled before the product: its sums stay small, also in half precision
    rows = maps.reshape(n, c, h * w) / (c * h * w) ** 0.5
    return rows @ rows.transpose(1, 2)
