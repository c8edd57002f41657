"""Tucker form: a kernel as a small core (dim, dim, k, k) between two factors."""

import torch
from torch import Tensor


def mixed(core: Tensor, right: Tensor) -> Tensor:
    """Σ_s core[r, s, ·] · right[s, i], as a matrix (dim, i·k²).

    `core` is (dim, dim, k...), `right` (dim, i) or (dim, i, 1...). With this in the place of
    the right factor a Tucker form is a plain product of two matrices."""
    return torch.einsum("rsk,si->rik", core.flatten(2), right.flatten(1)).flatten(1)
