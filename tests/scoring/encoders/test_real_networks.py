"""The published networks at their true shape, as far as that goes without their weights.

On torch's "meta" device a network has shapes and no numbers, and costs nothing. With random
numbers, and written to a file first, they are loaded and run in the tests marked slow.
"""

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models.vgg import cfgs, make_layers

from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders import ENCODERS, clip_l_datacomp, convnextv2_l, dinov2_l, vgg19
from lycoris_bench.scoring.encoders.vgg19 import TAPS, tapped_grams

TIMM = {"dinov2-l": dinov2_l, "convnextv2-l": convnextv2_l, "vgg19": vgg19}
WIDTHS = {"dinov2-l": 1024, "convnextv2-l": 1536, "clip-l-datacomp": 768}
VGG_WIDTHS = [64, 128, 256, 512, 512]


@pytest.fixture
def hollow(monkeypatch):
    """Builds an encoder whose network has the true shape, and no numbers."""

    def build(name, **changes):
        record = encoders.record(name)
        if name in TIMM:

            def network(model, record, **options):
                return timm.create_model(model, pretrained=False, **options).eval()

            monkeypatch.setattr(TIMM[name], "timm_network", network)
        else:
            config = open_clip.get_model_config(clip_l_datacomp.MODEL)
            monkeypatch.setattr(clip_l_datacomp, "locate", lambda *_: "nowhere")
            monkeypatch.setattr(
                open_clip, "create_model", lambda *_, **__: open_clip.CLIP(**config)
            )
        with torch.device("meta"):
            return ENCODERS.get(name)(record, "meta")

    return build


@pytest.mark.study
@pytest.mark.parametrize(("name", "width"), WIDTHS.items())
def test_width_of_the_features(name, width, hollow):
    encoder = hollow(name)
    size = encoder.record.size
    batch = torch.zeros(2, 3, size, size, device="meta")
    assert encoder.encode(batch).shape == (2, width)
    if "scale" in encoder.resizings:
        assert encoder.encode(batch[:, :, :, : size // 2]).shape == (2, width)


def test_width_of_the_texts(hollow):
    assert hollow("clip-l-datacomp").encode_text(["a cat", "a dog"] * 150).shape == (300, 768)


def test_shapes_of_the_grams(hollow):
    encoder = hollow("vgg19")
    layers = encoder.encode(torch.zeros(2, 3, 224, 300, device="meta"))
    assert [tuple(layer.shape) for layer in layers] == [(2, c, c) for c in VGG_WIDTHS]
    assert sum(c * c for c in VGG_WIDTHS) == 610_304


@pytest.mark.parametrize(("name", "module"), TIMM.items())
def test_records_say_what_timm_says(name, module):
    record, config = encoders.record(name), timm.get_pretrained_cfg(module.MODEL)
    assert (record.mean, record.std) == (config.mean, config.std)
    assert record.weights == config.hf_hub_id
    size = 224 if name == "dinov2-l" else config.input_size[1]  # design: DINOv2 at 224, not 518
    assert record.size == size


def test_the_clip_record_says_what_open_clip_says():
    record = encoders.record("clip-l-datacomp")
    weights = open_clip.get_pretrained_cfg(clip_l_datacomp.MODEL, clip_l_datacomp.TAG)
    config = open_clip.get_model_config(clip_l_datacomp.MODEL)
    assert (record.mean, record.std) == (weights["mean"], weights["std"])
    assert record.weights == weights["hf_hub"].strip("/")
    assert record.size == config["vision_cfg"]["image_size"]
    assert weights["resize_mode"] == "shortest" and record.resize == "crop"


def test_clip_prepares_as_open_clip_does(hollow, picture):
    """open_clip's own transform of the DataComp weights, on pictures of both orientations."""
    weights = open_clip.get_pretrained_cfg(clip_l_datacomp.MODEL, clip_l_datacomp.TAG)
    transform = open_clip.transform.image_transform(
        224,
        is_train=False,
        mean=weights["mean"],
        std=weights["std"],
        resize_mode=weights["resize_mode"],
        interpolation=weights["interpolation"],
    )
    encoder = hollow("clip-l-datacomp")
    for image in (picture(300, 231), picture(100, 333), picture(224, 224)):
        torch.testing.assert_close(encoder.prepare(image), transform(image), rtol=0, atol=1e-5)


def test_the_taps_are_the_convolutions_that_they_are_called(hollow):
    """convK_1 is the first convolution after K - 1 poolings; conv5_1 alone lacks its ReLU."""
    kinds = [type(layer).__name__ for layer in hollow("vgg19").layers]
    for index, name in TAPS.items():
        convolution = index if name == "conv5_1" else index - 1
        assert kinds[convolution] == "Conv2d"
        assert kinds[:convolution].count("MaxPool2d") == int(name[4]) - 1
        assert convolution == 0 or kinds[convolution - 1] == "MaxPool2d"
        assert name == "conv5_1" or kinds[index] == "ReLU"


def test_grams_are_those_of_the_published_procedure():
    """As the study's code does it, in float64 and over torchvision's own layers: keep what each
    convolution returns, let the next ReLU write over it in place, stop after conv5_1."""
    torch.manual_seed(0)
    layers = make_layers(cfgs["E"]).double().eval()[:29]
    images = torch.rand(2, 3, 32, 48, dtype=torch.float64)
    kept = []
    with torch.inference_mode():
        found = tapped_grams(layers, images)
        x = images
        for index, layer in enumerate(layers):
            x = layer(x)
            if index in (0, 5, 10, 19, 28):
                kept.append(x)
    assert [bool((maps < 0).any()) for maps in kept] == [False, False, False, False, True]
    for gram, maps in zip(found, kept, strict=True):
        _, c, h, w = maps.shape
        expected = np.einsum("ncyx,ndyx->ncd", maps.numpy(), maps.numpy()) / (c * h * w)
        np.testing.assert_allclose(gram.numpy(), expected, rtol=1e-10)


@pytest.fixture
def random_file(tmp_path):
    """Writes a file like the hub's for a network without numbers: random ones, in one pass (the
    libraries' own initialisation takes a minute at these sizes). Gone after the test: 1.2 GB."""
    path = tmp_path / "weights.safetensors"

    def write(network):
        generator = torch.Generator().manual_seed(0)
        state = {}
        for name, value in network.state_dict().items():
            scale = 0.02 if value.ndim > 1 else 0.05
            state[name] = torch.randn(value.shape, generator=generator) * scale
            state[name] += value.ndim == 1
        save_file(state, path)
        return str(path)

    yield write
    path.unlink(missing_ok=True)


def check_batch_independence(encoder, picture):
    images = [encoder.prepare(picture(260, 200, seed)) for seed in range(3)]
    together = encoder.encode(torch.stack(images))
    for row, image in enumerate(images):
        alone = encoder.encode(image[None])
        if isinstance(alone, torch.Tensor):
            pairs = [(together, alone)]
        else:
            pairs = zip(together, alone, strict=True)
        for every, one in pairs:
            assert torch.isfinite(every).all()
            torch.testing.assert_close(every[row], one[0], rtol=1e-4, atol=1e-5)
    return together


@pytest.mark.slow
def test_dinov2_with_random_weights(random_file, picture):
    """The file holds position embeddings for 518 pixels, as the published one does."""
    with torch.device("meta"):
        network = timm.create_model(dinov2_l.MODEL, pretrained=False)
    assert network.pos_embed.shape == (1, 1 + 37 * 37, 1024)
    encoder = encoders.load("dinov2-l", weights=random_file(network))
    assert encoder.network.pos_embed.shape == (1, 1 + 16 * 16, 1024)
    features = check_batch_independence(encoder, picture)
    assert features.shape == (3, 1024)
    with torch.inference_mode():
        batch = torch.stack([encoder.prepare(picture(260, 200, seed)) for seed in range(3)])
        class_token = encoder.network.forward_features(batch)[:, 0]
    torch.testing.assert_close(features, class_token)


@pytest.mark.slow
def test_convnextv2_with_random_weights(random_file, picture):
    with torch.device("meta"):
        network = timm.create_model(convnextv2_l.MODEL, pretrained=False)
    encoder = encoders.load("convnextv2-l", weights=random_file(network))
    features = check_batch_independence(encoder, picture)
    assert features.shape == (3, 1536)
    with torch.inference_mode():
        image = encoder.prepare(picture(260, 200, 0))[None]
        maps = encoder.network.forward_features(image)
        pre_logits = encoder.network.head.norm(maps.mean((2, 3), keepdim=True)).flatten(1)
    torch.testing.assert_close(features[:1], pre_logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_vgg19_with_random_weights(random_file, picture):
    with torch.device("meta"):
        network = timm.create_model(vgg19.MODEL, pretrained=False)
    encoder = encoders.load("vgg19", weights=random_file(network))
    layers = check_batch_independence(encoder, picture)
    assert [tuple(layer.shape) for layer in layers] == [(3, c, c) for c in VGG_WIDTHS]


@pytest.mark.slow
def test_clip_with_random_weights(random_file, picture):
    with torch.device("meta"):
        network = open_clip.CLIP(**open_clip.get_model_config(clip_l_datacomp.MODEL))
    encoder = encoders.load("clip-l-datacomp", weights=random_file(network))
    assert check_batch_independence(encoder, picture).shape == (3, 768)
    texts = ["a red cat", "a red cat on a blue chair", "words " * 200]
    together = encoder.encode_text(texts)
    assert together.shape == (3, 768) and together.dtype == torch.float32
    for row, text in enumerate(texts):
        torch.testing.assert_close(
            together[row], encoder.encode_text([text])[0], rtol=1e-4, atol=1e-5
        )
