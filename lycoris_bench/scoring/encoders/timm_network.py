"""Loads networks by timm, and ImageNet's colour statistics, which normalise their inputs."""

from typing import Any

from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.encoders.weights import TIMM, locate, needed, reading

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def timm_network(model: str, record: Record, **options: Any) -> Any:
    """`timm.create_model(model, **options)` holding the record's weights, for inference.

    The number of classes is left as it is in the file: timm loads without checking names where
    it differs, and a foreign file would pass for the right one. Take the head off afterwards.
    """
    try:
        import timm
    except ImportError as error:
        raise needed("timm", record.name) from error
    path = locate(record, TIMM)
    with reading(path, record.name):
        network = timm.create_model(
            model, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **options
        )
    return network.eval().requires_grad_(False)
