"""How good each generated image looks to a network that was trained on people's ratings."""

from typing import Any

import numpy as np

from lycoris_bench.scoring.metrics.base import Array, metric
from lycoris_bench.scoring.metrics.quality import loaded, quality_of

MODEL = "musiq"  # of pyiqa: from 0 to 100, any size of image, one file of weights


@metric(
    better="higher", encoder=None, inputs=[quality_of(MODEL)], on_request=True,
    ready=lambda: loaded(MODEL),
)  # fmt: skip
def image_quality(quality: Any) -> Array:
    """What MUSIQ, trained on the photographs of KonIQ-10k, gives each image.

    quality: n numbers -> [n]. It has not seen the prompt, nor the concept. The paper finds such
    predictors unsuitable to tell fine-tuned models apart (H.2); this is there to repeat that, and
    no finding rests on it.

    Source: Ke et al., MUSIQ: Multi-scale image quality transformer, ICCV 2021; by pyiqa.
    """
    return np.asarray(quality, dtype=np.float64)
