"""How far the style of generated images is from that of the dataset's: for a taught style."""

import numpy as np

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.base import metric
from lycoris_bench.scoring.metrics.gram_statistics import GramSet


@metric(
    better="lower", encoder="gram", called="style_loss", pooled=True,
    prompt_types=("train", "trigger", "alter"), kinds=("style",),
)  # fmt: skip
def style_loss_to_dataset(generated: GramSet, reference: GramSet) -> float:
    """Mean style loss of all pairs of a generated and a dataset image (paper, D.4; styles only).

        1/(n m) sum_ij | G_i - R_j |^2 = Var G + Var R + | mean G - mean R |^2

    with Var the mean squared distance to the mean, over the entries of all layers. Each set is
    seen once, in time n + m instead of n m, and only its mean is kept.
    """
    for name, one in (("generated", generated), ("reference", reference)):
        if not one.count:
            raise BenchError(f"{name} has no Gram matrices: there is nothing to compare")
    shapes = [[mean.shape for mean in one.mean] for one in (generated, reference)]
    if shapes[0] != shapes[1]:
        raise BenchError(
            f"generated has Gram matrices of shapes {shapes[0]} and reference {shapes[1]}: "
            "they come from different encoders"
        )
    pairs = zip(generated.mean, reference.mean, strict=True)
    between = sum(float(np.square(a - b).sum()) for a, b in pairs)
    return generated.variance + reference.variance + between
