"""The oracle and the encoders read renders that they have never seen."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lycoris_bench.miniature.networks import (
    END_TOKEN,
    FEATURES,
    WEIGHTS,
    GramNetwork,
    ImageEncoder,
    ImageTextEncoder,
)
from lycoris_bench.miniature.pretraining import probes
from lycoris_bench.miniature.world.oracle import ATTRIBUTES, accuracy, labels, load_oracle
from lycoris_bench.miniature.world.scene import Scene


@pytest.fixture(scope="module")
def clip():
    return ImageTextEncoder.load(WEIGHTS / "image-text.safetensors")


@pytest.mark.study
def test_oracle_reads_fresh_renders(renders):
    scenes, pictures = renders
    reached = accuracy(load_oracle(), probes.pixels(pictures), scenes)
    assert set(reached) == set(ATTRIBUTES)
    assert min(reached.values()) >= 0.96, reached


def test_oracle_answers_in_words(renders):
    scenes, pictures = renders
    read = load_oracle().read(probes.pixels(pictures[:20]))
    right = [r["style"] == s.style for r, s in zip(read, scenes, strict=False)]
    assert np.mean(right) >= 0.9 and set(read[0]) == set(ATTRIBUTES)


def test_empty_places_have_no_object_label():
    truth = labels([Scene(None, background="city"), Scene("cat", "blue", position="left")])
    assert truth["object"][0] == truth["colour"][0] == truth["position"][0] == -100
    assert truth["background"][0] == ATTRIBUTES["background"].index("city")
    assert truth["colour"][1] == ATTRIBUTES["colour"].index("blue")


def test_own_caption_is_nearest(clip, base, renders):
    scenes, pictures = renders
    assert probes.retrieval(clip, base.tokenizer, probes.pixels(pictures), scenes) >= 0.95


def test_padding_does_not_change_text_features(clip, base):
    ids = base.tokenizer("a red boat on the left, on a beach", return_tensors="pt").input_ids
    padded = F.pad(ids, (0, 32 - ids.shape[1]), value=END_TOKEN)
    torch.testing.assert_close(
        clip.encode_text(ids), clip.encode_text(padded), atol=1e-5, rtol=1e-4
    )


def test_unknown_concepts_are_told_apart():
    image = ImageEncoder.load(WEIGHTS / "image.safetensors")
    train, names = probes.read_concepts("dataset", "toys")
    test, truth = probes.read_concepts("heldout", "toys")
    features = [probes.in_parts(image, x) for x in (train, test)]
    assert features[0].shape == (len(names), FEATURES)
    assert probes.nearest_centroid(features[0], names, features[1], truth) >= 0.9


def test_nearest_centroid_by_hand():
    train = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])
    test = torch.tensor([[5.0, 1.0], [0.1, 3.0]])
    assert probes.nearest_centroid(train, ["a", "a", "b"], test, ["a", "b"]) == 1.0
    assert probes.nearest_centroid(train, ["a", "a", "b"], test, ["a", "a"]) == 0.5


def test_gram_taps_and_matrices():
    gram = GramNetwork.load(WEIGHTS / "gram.safetensors")
    taps = gram(torch.rand(2, 3, 64, 48) * 2 - 1)
    assert [t.shape[1] for t in taps] == list(gram.WIDTHS)
    assert [tuple(t.shape[2:]) for t in taps] == [(64 >> k, 48 >> k) for k in range(5)]
    assert all((t >= 0).all() for t in taps)
    x = torch.rand(1, 3, 32, 32)
    tap = gram(x)[0][0]
    naive = torch.stack([torch.stack([(a * b).sum() for b in tap]) for a in tap]) / tap.numel()
    got = probes.gram_features(gram, x)[0, : 16 * 16].view(16, 16)
    torch.testing.assert_close(got, naive, atol=1e-6, rtol=1e-4)
