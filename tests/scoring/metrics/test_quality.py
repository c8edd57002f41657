"""Image quality by a library that is not needed otherwise: with a stand-in of it that is told apart
from the real one, with the real one's model without weights where it is installed, and without."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import lycoris_bench as lb
from lycoris_bench.registry import load_plugin
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.metrics.quality import NoQualityModel, loaded
from lycoris_bench.stages.study_context import open_context
from tests.support.world import tiny

PLUGIN = '''"""How distorted an image looks, by PIQE."""

import numpy as np

from lycoris_bench.scoring.metrics.base import metric
from lycoris_bench.scoring.metrics.quality import quality_of


@metric(better="lower", encoder=None, inputs=[quality_of("piqe")], on_request=True)
def distortion(quality):
    """What PIQE gives each image."""
    return np.asarray(quality, dtype=np.float64)
'''


class Mean(torch.nn.Module):
    """A stand-in for a model of pyiqa: 100 times the mean of what it is given."""

    def forward(self, images):
        assert images.shape[:2] == (1, 3) and images.min() >= 0 and images.max() <= 1
        return 100 * images.mean(dim=(1, 2, 3))


@pytest.fixture
def fresh():
    loaded.cache_clear()
    yield
    loaded.cache_clear()


@pytest.fixture
def stand_in(fresh, monkeypatch):
    """Not pyiqa: what is called of it, with `Mean` as each of its models."""
    asked = []

    def create_metric(name, device):
        asked.append((name, device))
        return Mean()

    module = SimpleNamespace(list_models=lambda kind: ["musiq", "piqe"],
                             create_metric=create_metric)  # fmt: skip
    monkeypatch.setitem(sys.modules, "pyiqa", module)
    return asked


def greys(*values):
    return [np.full((24, 16, 3), value, dtype=np.uint8) for value in values]


def test_each_image_is_rated_alone(stand_in):
    rows = lb.score_images(greys(0, 51, 255), encoders=[], metrics=["image_quality"])
    assert rows["value"].to_list() == pytest.approx([100 * (0 + 0.2 + 1) / 3])
    assert stand_in == [("musiq", torch.device("cpu"))]
    assert METRICS.get("image_quality").on_request


def test_without_the_library_nothing_is_begun(fresh, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    study = tiny(scoring={"metrics": ["default", "image_quality"]})
    with pytest.raises(
        NoQualityModel, match=r"needs pyiqa.*pip install 'lycoris-bench\[quality\]'"
    ):
        open_context(study, tmp_path / "run", to_run="score")
    open_context(study, tmp_path / "run")  # a plan, or an analysis elsewhere, needs none
    open_context(study, tmp_path / "run", to_run="analyze")


def test_without_weights_it_says_what_to_type(stand_in, monkeypatch):
    def refuse(name, device):
        raise OSError("no network")

    monkeypatch.setattr(sys.modules["pyiqa"], "create_metric", refuse)
    with pytest.raises(NoQualityModel, match=r"'musiq' cannot be loaded \(OSError: no network\)"):
        loaded("musiq")
    with pytest.raises(NoQualityModel, match="no model 'beauty'.*those it has are: musiq, piqe"):
        loaded("beauty")


def test_the_real_library_rates_by_a_model_without_weights(fresh, monkeypatch, tmp_path):
    """PIQE by a metric file of one's own is what the library gives when it is called itself."""
    pyiqa = pytest.importorskip("pyiqa")
    monkeypatch.setenv("LYCORIS_BENCH_PLUGINS", "")
    file = tmp_path / "distortion.py"
    file.write_text(PLUGIN)
    load_plugin(file)
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.uniform(40, 210, (6, 6, 3)), np.ones((16, 16, 1)))
    for noise in (2, 20):
        image = (coarse + rng.normal(0, noise, coarse.shape)).clip(0, 255).astype(np.uint8)
        rows = lb.score_images([image], encoders=[], metrics=["distortion"])
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        expected = pyiqa.create_metric("piqe", device=torch.device("cpu"))(tensor).item()
        assert rows["value"].item() == pytest.approx(expected) and 0 <= expected <= 100
