"""How the Kronecker product of LoKr splits a layer."""

import math

import torch
from torch import Tensor


def factorization(n: int, factor: int) -> tuple[int, int]:
    """(u, v) with u·v = n, u <= v and u the largest divisor of n up to min(factor, √n).

    LyCORIS, Eq. (5); factor -1 means no bound but √n. As in the LyCORIS library, and unlike
    the equation, a factor above √n that divides n is taken as v, so that names and sizes of
    files agree with the ecosystem's (n=4, factor=4 gives (1, 4), not (2, 2)).

    >>> factorization(320, 8), factorization(320, -1), factorization(4, 4), factorization(13, 5)
    ((8, 40), (16, 20), (1, 4), (1, 13))
    """
    if factor > 0 and n % factor == 0:
        u = min(factor, n // factor)
    else:
        bound = math.isqrt(n) if factor < 0 else min(factor, math.isqrt(n))
        u = next(u for u in range(bound, 0, -1) if n % u == 0)
    return u, n // u


def mixed(core: Tensor, right: Tensor) -> Tensor:
    """Σ_s core[r, s, ·] · right[s, i], as a matrix (dim, i·k²).

    `core` is (dim, dim, k...), `right` (dim, i) or (dim, i, 1...). With this in the place of
    the right factor a Tucker form is a plain product of two matrices."""
    return torch.einsum("rsk,si->rik", core.flatten(2), right.flatten(1)).flatten(1)
