"""The base model's images in the style loss: read and encoded once per process where there is
room, with numbers that are the same to the last bit wherever there is none."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.data.images import read_image
from lycoris_bench.scoring import gram_features
from lycoris_bench.scoring.feature_pass import feature_pass, shared_encoder
from lycoris_bench.scoring.gram_features import Held, Pairs
from lycoris_bench.scoring.metrics.style_loss import style_loss

IMAGES, ROOM = 7, 2**30
ENCODER = shared_encoder("miniature-gram", "cpu")


@pytest.fixture
def drawn(tmp_path: Path) -> dict[str, list[tuple[str, Path]]]:
    """Items of base and of two checkpoints, seven images each."""
    rng = np.random.default_rng(0)
    made: dict[str, list[tuple[str, Path]]] = {}
    for name in ("base", "one", "two"):
        made[name] = []
        for k in range(IMAGES):
            path = tmp_path / f"{name}-{k}.png"
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            coarse.resize((64, 64), Image.Resampling.BICUBIC).save(path)
            made[name].append((path.stem, path))
    return made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each base image was read."""
    count: Counter[str] = Counter()

    def counted(path: Path) -> Image.Image:
        count[path.stem] += 1
        return read_image(path)

    monkeypatch.setattr(gram_features, "read_image", counted)
    return count


def losses(items, others, batch_size: int = 3, threads: int = 0) -> list[float]:
    partners = {uid: other for (uid, _), other in zip(items, others, strict=True)}
    pairs = Pairs(ENCODER, [style_loss], partners, batch_size)
    feature_pass(items, [pairs], threads)
    return [pairs.values["style_loss", uid] for uid, _ in items]


@pytest.mark.parametrize(("room", "reads"), [(ROOM, 1), (0, 2)])
def test_they_are_read_once_and_change_nothing(drawn, read, monkeypatch, room, reads):
    monkeypatch.setattr(gram_features, "held", Held(room))
    found = [losses(drawn[name], drawn["base"], threads=2) for name in ("one", "two")]
    assert set(read.values()) == {reads} and len(read) == IMAGES
    for name, numbers in zip(("one", "two"), found, strict=True):
        for (_, path), (_, base), number in zip(drawn[name], drawn["base"], numbers, strict=True):
            a, b = (ENCODER.encode([ENCODER.prepare(read_image(p))]) for p in (path, base))
            loss = sum(float((x - y).double().square().sum()) for x, y in zip(a, b, strict=True))
            assert number == pytest.approx(loss, rel=1e-3)
    monkeypatch.setattr(gram_features, "held", Held(0))
    assert found[1] == losses(drawn["two"], drawn["base"])


def test_base_itself_is_at_distance_0_and_is_what_others_are_compared_with(
    drawn, read, monkeypatch
):
    monkeypatch.setattr(gram_features, "held", Held(ROOM))
    assert losses(drawn["base"], drawn["base"]) == [0.0] * IMAGES
    after_base = losses(drawn["one"], drawn["base"])
    assert not read
    monkeypatch.setattr(gram_features, "held", Held(0))
    assert after_base == losses(drawn["one"], drawn["base"])


def test_an_image_equal_to_its_partner_is_at_distance_0(drawn, read, monkeypatch):
    """A checkpoint at strength 0 draws the base model's pixels, under uids of its own."""
    equal = [(f"strength-0-{uid}", path) for uid, path in drawn["base"]]
    for room in (0, ROOM, ROOM):
        monkeypatch.setattr(gram_features, "held", Held(room))
        losses(drawn["one"], drawn["base"])
        assert losses(equal, drawn["base"]) == [0.0] * IMAGES


def test_other_batches_never_stand_in(drawn, read, monkeypatch):
    """Batches of 2, 2, 2 and 1, then of 3, 3 and 1: only the last image is in the same company."""
    monkeypatch.setattr(gram_features, "held", Held(ROOM))
    losses(drawn["one"], drawn["base"], 2)
    again = losses(drawn["one"], drawn["base"], 3)
    assert read == {f"base-{k}": 1 if k == 6 else 2 for k in range(IMAGES)}
    monkeypatch.setattr(gram_features, "held", Held(0))
    assert again == losses(drawn["one"], drawn["base"], 3)


def test_what_does_not_fit_is_encoded_again(drawn, read, monkeypatch):
    """47 104 bytes an image (16² + 32² + 48² + 64² + 64² numbers): room for one batch of 3."""
    held = Held(3 * 4 * (16**2 + 32**2 + 48**2 + 2 * 64**2))
    monkeypatch.setattr(gram_features, "held", held)
    for name in ("one", "two"):
        losses(drawn[name], drawn["base"])
    assert held.bytes == held.limit
    assert sorted(read.values()) == [1] * 3 + [2] * 4
