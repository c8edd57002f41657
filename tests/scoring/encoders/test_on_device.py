"""What an encoder does on its device: resizing to PIL's own bytes, and products in true float32.

CUDA is not needed to see it: the same functions run on the CPU, and flags are seen from within."""

import numpy as np
import pytest
import torch
from PIL import Image

from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders import exact_resize
from lycoris_bench.scoring.encoders.base import pixels
from lycoris_bench.scoring.encoders.resize import RESIZINGS, Picture, resized
from tests.scoring.encoders.test_encode import Toy, ToyGram

SHAPES = [(640, 427), (427, 640), (100, 100), (31, 90), (90, 31), (224, 57), (64, 63), (5, 200)]


@pytest.mark.parametrize("size", [7, 64])
@pytest.mark.parametrize("shape", [*SHAPES, (1, 1), (512, 512)])
@pytest.mark.parametrize("mode", sorted(RESIZINGS))
def test_every_byte_is_pils(mode, shape, size, picture):
    image = picture(*shape)
    found = exact_resize.resized(pixels(image)[None], mode, size)[0].permute(1, 2, 0)
    np.testing.assert_array_equal(found, np.asarray(resized(image, mode, size)))


def test_a_pil_that_resizes_otherwise_resizes_itself(monkeypatch, picture):
    """A version of PIL whose bytes neither order of passes gives."""
    image, batch = picture(50, 40), torch.stack([pixels(picture(50, 40, k)) for k in range(3)])
    monkeypatch.setattr(exact_resize, "BICUBIC", Image.Resampling.LANCZOS)
    exact_resize._order.cache_clear()
    try:
        found = exact_resize.resampled(batch, 20, 30)
    finally:
        exact_resize._order.cache_clear()
    expected = np.asarray(image.resize((20, 30), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(found[0].permute(1, 2, 0), expected)


class OnDevice(Toy):
    """As on CUDA: an image is handed over as its pixels."""

    def prepare(self, image):
        self.device = torch.device("cuda")
        try:
            return super().prepare(image)
        finally:
            self.device = torch.device("cpu")


class GramOnDevice(ToyGram, OnDevice):
    pass


@pytest.mark.parametrize("mode", ["scale", "letterbox"])
def test_pixels_and_prepared_images_give_the_same_features(mode, picture):
    images = [
        picture(*shape, seed) for seed, shape in enumerate([(20, 9), (9, 20), (20, 9), (12, 12)])
    ]
    device, host = OnDevice(mode), Toy(mode)
    raw, prepared = [device.prepare(i) for i in images], [host.prepare(i) for i in images]
    assert {one.dtype for one in raw} == {torch.uint8} and raw[0].shape == (3, 9, 20)
    assert torch.equal(device.encode(raw), host.encode(prepared))
    assert device.batches == host.batches == ([4] if mode == "letterbox" else [2, 1, 1])
    assert torch.equal(device.encode(raw[0][None]), host.encode(prepared[0][None]))
    grams = GramOnDevice(mode), ToyGram(mode)
    for a, b in zip(grams[0].encode(raw), grams[1].encode(prepared), strict=True):
        assert torch.equal(a, b)


def test_normalised_pixels_are_the_formula_bit_by_bit(picture):
    """torch's own steps in float32, written as the formula."""
    image = picture(40, 30)
    toy = Toy("stretch")
    rgb = torch.from_numpy(np.array(resized(image, "stretch", 8))).permute(2, 0, 1).float()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (toy.record.mean, toy.record.std))
    expected = (rgb / 255 - mean) / std
    assert torch.equal(toy.prepare(image), expected)
    assert torch.equal(toy._input(OnDevice("stretch").prepare(image)[None])[0], expected)


class Watching(Toy):
    """Notes the flags that are set while it computes."""

    def forward(self, batch):
        self.flags = (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision())
        return super().forward(batch)

    def encode_text(self, texts):
        self.forward(torch.zeros(1, 3, 8, 8))
        return torch.zeros(len(texts), 1)


@pytest.mark.parametrize(
    ("resize", "flags"), [("crop", (False, "highest")), ("crop+tf32", (True, "high"))]
)
def test_fp32_is_fp32_unless_tf32_is_asked_for(resize, flags, picture):
    """Torch convolves in TF32 by itself."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    watching = Watching(resize)
    watching.encode([watching.prepare(picture(8, 8))])
    assert watching.flags == flags
    watching.flags = None
    watching.encode_texts(["a"])
    assert watching.flags == flags
    with pytest.raises(IndexError):
        watching.encode(torch.zeros(1, 3, 8))
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before


def test_tf32_is_in_the_record_and_for_networks_without_gram_matrices():
    plain, fast = encoders.record("dinov2-l:crop"), encoders.record("dinov2-l:crop+tf32")
    assert (plain.mode, plain.tf32, fast.mode, fast.tf32) == ("crop", False, "crop", True)
    assert plain.hash != fast.hash and fast.resize == "crop+tf32"
    for name in ("clip-l-datacomp", "convnextv2-l", "dinov2-l-hub"):
        assert encoders.record(f"{name}:crop+tf32").tf32


def test_a_square_picture_is_resized_once_for_all_modes(picture, monkeypatch):
    made = []
    for mode, function in RESIZINGS.items():
        monkeypatch.setitem(
            RESIZINGS, mode, lambda *given, f=function, m=mode: made.append(m) or f(*given)
        )
    shared = Picture(picture(24, 24))
    prepared = [Toy(mode).prepare(shared) for mode in ("scale", "letterbox", "crop", "crop+tf32")]
    assert len(made) == 1
    for mode, one in zip(("scale", "letterbox", "crop"), prepared, strict=False):
        np.testing.assert_array_equal(one, Toy(mode).prepare(picture(24, 24)))
        by_pil = np.asarray(resized(picture(24, 24), mode, 8))
        np.testing.assert_array_equal(by_pil, np.asarray(shared.resized(mode, 8)))
