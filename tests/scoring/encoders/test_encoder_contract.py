"""What holds for every encoder of the registry and of plug-ins; those that need no weights, or have
theirs on this machine, also encode."""

import pytest
import torch

from lycoris_bench.scoring.encoders import ENCODERS
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.encoders.weights import here
from tests.support.plugin import with_plugins

EVERY = with_plugins(ENCODERS)
SHAPES = [(64, 64), (64, 64), (100, 80), (50, 64)]


@pytest.mark.parametrize("name", sorted(EVERY))
def test_an_entry_knows_itself(name):
    entry = EVERY[name]
    assert issubclass(entry, Encoder) and entry.__doc__
    assert entry.record.name == name
    assert entry.record.resize in entry.resizings
    assert (entry.encode_text is not Encoder.encode_text) == (entry.record.outputs == "image+text")


@pytest.mark.parametrize(
    "name", sorted(n for n, e in EVERY.items() if not e.record.weights or here(e.record, e.files))
)
def test_one_by_one_equals_the_batch(name, picture):
    encoder = EVERY[name](EVERY[name].record)
    images = [encoder.prepare(picture(*shape, seed)) for seed, shape in enumerate(SHAPES)]
    together = encoder.encode(images)
    assert isinstance(together, list) == (encoder.record.outputs == "gram")
    layers = together if isinstance(together, list) else [together]
    for layer in layers:
        assert layer.dtype == torch.float32 and torch.isfinite(layer).all()
        assert len(layer) == len(SHAPES) and layer.ndim == (3 if len(layers) > 1 else 2)
    for row, image in enumerate(images):
        alone = encoder.encode(image[None])
        for every, one in zip(layers, alone if isinstance(alone, list) else [alone], strict=True):
            torch.testing.assert_close(every[row], one[0], rtol=1e-5, atol=1e-5)
