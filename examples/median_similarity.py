"""A metric of your own. The file is named like its function, which is all that a plug-in needs:

lycoris-bench score STUDY --plugin median_similarity.py
"""

import numpy as np

from lycoris_bench.scoring.metrics.arrays import unit_pair
from lycoris_bench.scoring.metrics.base import metric


@metric(better="higher", encoder="image")
def median_similarity(generated, reference):
    """Median cosine of generated and real images, which a few odd ones do not move."""
    z, r = unit_pair(generated, reference, ("generated", "reference"))
    return float(np.median(z @ r.T))


if __name__ == "__main__":
    from importlib.resources import files

    import lycoris_bench as lb

    lb.load_plugin(__file__)
    world = files("lycoris_bench") / "miniature"
    scores = lb.score_images(
        str(world / "heldout/toys/bunny"),
        reference=str(world / "dataset/toys/bunny"),
        encoders=["miniature-image"],
        metrics=["median_similarity", "image_similarity"],
    )
    print(scores.drop(columns="fingerprint").to_string(index=False))
