"""Fixtures of the tests' Stable Diffusion, with a dataset to train it on."""

import functools

import pytest
from PIL import Image

from lycoris_bench.data.dataset import scan
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.study.settings import Training
from lycoris_bench.training.latents import LatentCache
from tests.support import stable_diffusion
from tests.support.copies import copied


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The pipeline's folder, built once and never changed."""
    return stable_diffusion.save(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def _loaded(base):
    return Backbone.load(base)


@pytest.fixture
def backbone(_loaded):
    """The model, with networks that the test may change."""
    return copied(_loaded)


@pytest.fixture(scope="session")
def training():
    """Settings of the tiny world: 32x32 pixels, two images a batch."""
    return Training(
        resolution=32, bucket_step=8, bucket_min=16, bucket_max=64, batch_size=2,
        images_per_class=4, warmup_epochs=0.5, max_tokens=28,
    )  # fmt: skip


def write(folder, files):
    """A dataset, `{"cat/class/1.png": ("caption", size)}`, in this folder, which is returned."""
    for name, (caption, size) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = tuple(hash_byte(f"{name}{k}") for k in range(3))
        Image.new("RGB", size, colour).save(path)
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return folder


def hash_byte(text):
    return sum(text.encode()) * 37 % 256


# two classes in two buckets: three square images and a wide one
SMALL = {
    "toys/bunny/1.png": ("olis toy, red", (40, 40)),
    "toys/bunny/2.png": ("olis toy, on a very long green table", (64, 30)),
    "scenes/lake/1.png": ("wasa lake", (32, 32)),
    "scenes/lake/2.png": ("wasa lake, at night", (33, 32)),
}


@pytest.fixture
def tree(tmp_path):
    """Writes a dataset of these files and gives its folder: `tree(files)`."""
    return functools.partial(write, tmp_path / "data")


@pytest.fixture
def small_tree(tree):
    """The dataset `SMALL`."""
    return tree(SMALL)


@pytest.fixture(scope="session")
def kept_world(_loaded, training, tmp_path_factory):
    """`world`, made once and never changed."""
    data = scan(write(tmp_path_factory.mktemp("tiny") / "data", SMALL))
    return _loaded, data, LatentCache.encode(_loaded, data, training)


@pytest.fixture
def world(kept_world):
    """Base model, dataset and latents: what a training starts from."""
    backbone, *rest = kept_world
    return copied(backbone), *rest
