"""An input of metrics that say how good a picture looks, whatever it shows: the number that a model
of the library pyiqa gives it. The library is optional, and imported when it is used.

A metric of another of its models is a file of five lines (docs/metrics.md), such as one of `piqe`,
which needs no weights."""

import contextlib
import io
from functools import cache
from typing import Any

import numpy as np
import torch

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics.inputs import INPUTS, Input

INSTALL = "pip install 'lycoris-bench[quality]'"


class NoQualityModel(BenchError):
    """The library or its weights are not on this machine; says what to type."""

    of_machine = True


def quality_of(model: str) -> Input:
    """The input `quality`: what a no-reference model gives each generated image, a list of n."""
    return Input(
        "quality",
        available=INPUTS["generated"].available,
        images=INPUTS["generated"].images,
        read=lambda picture: rated(model, picture),
    )


def rated(model: str, picture: Any) -> float:
    """What a model of pyiqa gives one picture (`encoders.resize.Picture`), on the CPU, in its own
    size."""
    pixels = np.array(picture.image.convert("RGB"))
    values = torch.from_numpy(pixels).permute(2, 0, 1).float()[None] / 255
    with torch.inference_mode():
        return float(loaded(model)(values))


@cache
def loaded(model: str) -> Any:
    """The model, with its weights from the cache of pyiqa, which fetches them where it can.
    NoQualityModel: the library or the weights are missing, or it has no such model."""
    try:
        import pyiqa
    except ImportError as error:
        raise NoQualityModel(
            f"image quality needs pyiqa, which cannot be imported ({error}); type: {INSTALL}"
        ) from error
    if model not in pyiqa.list_models("NR"):
        raise NoQualityModel(
            f"pyiqa has no model '{model}' that rates a picture alone; those it has are: "
            f"{', '.join(pyiqa.list_models('NR'))}"
        )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it fetches
            return pyiqa.create_metric(model, device=torch.device("cpu")).eval()
    except Exception as error:  # of a network, a file or another library, as the model has it
        raise NoQualityModel(
            f"pyiqa's model '{model}' cannot be loaded ({type(error).__name__}: {error}); where "
            f"there is a network, type: python -c \"import pyiqa; pyiqa.create_metric('{model}')\""
        ) from error
