"""The shipped encoders: their weights, and that features are those of the networks."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

import lycoris_bench
from lycoris_bench.miniature import networks
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.weights import PACKAGE, WrongWeights

CLASSES = {
    "miniature-image": networks.ImageEncoder,
    "miniature-image-text": networks.ImageTextEncoder,
    "miniature-gram": networks.GramNetwork,
}
NAMES = sorted(CLASSES)


def shipped(name):
    weights = encoders.record(name).weights
    return Path(lycoris_bench.__file__).parent / weights.removeprefix(PACKAGE)


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_weights_are_those_of_the_record(name):
    found = hashlib.sha256(shipped(name).read_bytes()).hexdigest()
    declared = encoders.record(name).sha256
    assert found == declared, f'new weights? write sha256="{found}" into the record of {name}'


@pytest.mark.parametrize("name", NAMES)
def test_the_record_says_what_the_network_was_made_for(name):
    record = encoders.record(name)
    assert record.size == networks.SIZE and record.mean == record.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", NAMES)
def test_features_are_those_of_the_network(name, picture):
    """Around the encoder: the network read from the file, pixels brought to -1..1 by hand."""
    image = picture(64, 64)
    pixels = torch.from_numpy(np.asarray(image) / 127.5 - 1).float().permute(2, 0, 1)[None]
    network = CLASSES[name].load(shipped(name))
    found = encoders.load(name).encode([encoders.load(name).prepare(image)])
    if name == "miniature-gram":
        assert [gram.shape[1] for gram in found] == [16, 32, 48, 64, 64]
        for gram, maps in zip(found, network(pixels), strict=True):
            _, c, h, w = maps.shape
            flat = maps.double().reshape(c, h * w).numpy()
            expected = sum(np.outer(column, column) for column in flat.T) / (c * h * w)
            np.testing.assert_allclose(gram[0], expected, rtol=1e-4, atol=1e-6)
    elif name == "miniature-image":
        torch.testing.assert_close(found, network(pixels), rtol=1e-4, atol=1e-5)
    else:
        torch.testing.assert_close(found, network.encode_image(pixels), rtol=1e-4, atol=1e-5)


def test_a_text_does_not_depend_on_its_neighbours():
    encoder = encoders.load("miniature-image-text")
    texts = ["a red cat", "", "a large blue house on a hill at night, pencil", "word " * 100]
    together = encoder.encode_text(texts)
    assert together.shape == (4, 128) and torch.isfinite(together).all()
    for row, text in enumerate(texts):
        torch.testing.assert_close(together[row], encoder.encode_text([text])[0], rtol=0, atol=1e-5)
    assert torch.pdist(together).min() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_of_another_network_are_refused(name, tmp_path):
    other = NAMES[(NAMES.index(name) + 1) % 3]
    torch.save({}, tmp_path / "empty.safetensors")
    for path in (shipped(other), tmp_path / "empty.safetensors"):
        with pytest.raises(WrongWeights, match=f"does not hold the weights of {name}") as error:
            encoders.load(name, weights=str(path))
        assert "\n" not in str(error.value)
