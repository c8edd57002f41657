"""Whole models that others trained: as folders, as single files, and where a trainer left but some
parts of one."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lycoris_bench.cli.exits import call
from lycoris_bench.cli.main import command
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.study.places import locate
from tests.support import compvis_writer, families, random_models

BUNNY = locate("package:miniature/dataset/toys/bunny", Path())
SMALL = [
    "--images", "toys", "--trigger", "olis", "--class-word", "toy", "--count", "2",
    "--encoder", "miniature-image", "--set", "sampling.steps=1", "--set", "sampling.width=64",
    "--set", "sampling.height=64", "--set", 'sampling.prompt_types=["trigger"]',
    "--workers", "1", "--device", "cpu",
]  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def base() -> Path:
    """Stable Diffusion 1.5 with random weights, made narrow."""
    return families.folder("sd15")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(BUNNY, tmp_path / "toys", ignore=shutil.ignore_patterns("*.txt"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images(run: Path) -> dict[str, np.ndarray]:
    """The images [n, h, w, 3] of each configuration."""
    found: dict[str, list[np.ndarray]] = {}
    for path in sorted((run / "images").rglob("*.png")):
        name = path.relative_to(run / "images").parts[0]
        found.setdefault(name, []).append(np.asarray(Image.open(path)))
    return {name: np.stack(pixels).astype(int) for name, pixels in found.items()}


def values(run: Path) -> pd.DataFrame:
    """A column of metrics for each configuration."""
    rows = pd.read_parquet(run / "metrics.parquet")
    return rows.pivot(index=["prompt_type", "metric"], columns="configuration", values="value")


def test_a_single_file_is_the_model_that_its_folder_is(place: Path, base: Path) -> None:
    """Merged into the base model and saved as one .safetensors file, as other programs do."""
    tuned = random_models.save(place / "out/folder", "sd15", seed=1)
    compvis_writer.write(place / "out/file.safetensors", Backbone.load(tuned), "sd15")
    typed = ["eval", "out", "--base", str(base), *SMALL, "--keep-images", "all", "--run", "run"]
    assert call(command(), typed) == 0
    drawn = images(place / "run")
    of_file, of_folder = (drawn[name] for name in ("file", "folder"))
    assert len(of_file) == 2 and abs(of_file - of_folder).max() <= 1  # the last digits of products
    assert abs(of_file - drawn["base"]).max() > 10
    table = values(place / "run")
    assert len(table) > 2
    np.testing.assert_allclose(table["file"], table["folder"], rtol=1e-3)
