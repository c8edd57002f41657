"""What every encoder inherits: preparing, batches of mixed shapes, refusals. A toy stands in."""

import numpy as np
import pytest
import torch
from PIL import Image

from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.gram_matrix import gram_matrix
from lycoris_bench.scoring.encoders.resize import RESIZINGS, Picture, crop, scale

MEAN, STD = (0.1, 0.5, 0.9), (0.2, 0.5, 0.25)


class Toy(Encoder):
    """The mean of each channel and the width: numbers that a person can work out."""

    def __init__(self, resize="scale"):
        self.record = Record("toy", "x/y", "1", None, 8, resize, MEAN, STD, "image")
        self.device = torch.device("cpu")
        self.batches = []

    def forward(self, batch):
        self.batches.append(len(batch))
        width = torch.full((len(batch), 1), float(batch.shape[3]))
        return torch.cat([batch.mean((2, 3)), width], dim=1)


class ToyGram(Toy):
    def forward(self, batch):
        return [gram_matrix(batch), gram_matrix(batch[:, :2])]


def test_prepare_is_the_formula(picture):
    image = picture(8, 8)
    found = Toy().prepare(image)
    assert found.dtype == torch.float32 and found.shape == (3, 8, 8)
    for channel in range(3):
        for y in range(8):
            for x in range(8):
                value = image.getpixel((x, y))[channel] / 255
                expected = (value - MEAN[channel]) / STD[channel]
                assert float(found[channel, y, x]) == pytest.approx(expected, abs=1e-6)


def test_encoders_that_share_a_picture_see_what_each_would_see_alone(picture, monkeypatch):
    """Two that resize alike and one that does not: two resizings, and the same numbers."""
    image, made = picture(24, 17), []
    monkeypatch.setitem(RESIZINGS, "scale", lambda *given: made.append("scale") or scale(*given))
    monkeypatch.setitem(RESIZINGS, "crop", lambda *given: made.append("crop") or crop(*given))
    toys = [Toy(), Toy("crop"), Toy()]
    shared = Picture(image)
    together = [toy.prepare(shared) for toy in toys]
    assert made == ["scale", "crop"]
    for toy, found in zip(toys, together, strict=True):
        assert torch.equal(found, toy.prepare(image))


def test_bars_are_black_before_normalisation():
    found = Toy("letterbox").prepare(Image.new("RGB", (8, 4), "white"))
    black = [-m / s for m, s in zip(MEAN, STD, strict=True)]
    np.testing.assert_allclose(found[:, 0, 0], black, rtol=1e-6)
    np.testing.assert_allclose(found[:, 7, 7], black, rtol=1e-6)


def test_the_shape_is_height_then_width():
    assert Toy().prepare(Image.new("RGB", (16, 8))).shape == (3, 8, 16)


def test_by_hand():
    """White is (1 - mean) / std in each channel: 4.5, 1 and 0.4."""
    toy = Toy()
    features = toy.encode([toy.prepare(Image.new("RGB", (20, 10), "white"))])
    np.testing.assert_allclose(features, [[4.5, 1.0, 0.4, 16.0]], rtol=1e-5)


def test_mixed_shapes_come_back_in_order(picture):
    toy = Toy()
    shapes = [(8, 8), (16, 8), (8, 8), (8, 24), (16, 8), (8, 8)]
    prepared = [toy.prepare(picture(*shape, seed)) for seed, shape in enumerate(shapes)]
    together = toy.encode(prepared)
    assert toy.batches == [3, 2, 1]
    alone = torch.cat([toy.encode(image[None]) for image in prepared])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_grams_of_mixed_shapes_come_back_in_order(picture):
    toy = ToyGram()
    prepared = [toy.prepare(picture(*shape)) for shape in [(8, 8), (16, 8), (8, 9), (32, 16)]]
    together = toy.encode(prepared)
    assert [tuple(layer.shape) for layer in together] == [(4, 3, 3), (4, 2, 2)]
    for row, image in enumerate(prepared):
        for layer, alone in zip(together, toy.encode(image[None]), strict=True):
            torch.testing.assert_close(layer[row], alone[0])


def test_nothing_to_encode_and_no_text_side():
    with pytest.raises(ValueError, match="encoder toy was given no images"):
        Toy().encode([])
    with pytest.raises(ValueError, match="encoder toy has no text side"):
        Toy().encode_text(["a cat"])


def test_gram_against_loops():
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    found = gram_matrix(maps)
    for i in range(2):
        for a in range(3):
            for b in range(3):
                pairs = [
                    float(maps[i, a, y, x]) * float(maps[i, b, y, x])
                    for y in range(4)
                    for x in range(5)
                ]
                assert float(found[i, a, b]) == pytest.approx(sum(pairs) / (3 * 4 * 5), abs=1e-6)
