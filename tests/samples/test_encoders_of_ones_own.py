"""`score DIR` with weights and a batch size of one's own, as a study may give them."""

import tomllib
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from lycoris_bench.cli import main
from lycoris_bench.run.outcome import Outcome
from lycoris_bench.scoring.image_sets import ImageSets
from lycoris_bench.study.places import locate
from tests.samples.test_strangers import kohya, picture, scored

pytestmark = pytest.mark.study

SHIPPED = locate("package:miniature/weights/image.safetensors", Path())
WEIGHTS = {"miniature-image": "own/w.safetensors"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kohya(tmp_path / "s")
    for k in range(3):
        picture(tmp_path / f"real/{k}.png", 7 + k)
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(place: Path, name: str, **more: object) -> tuple[Outcome, pd.DataFrame]:
    outcome, rows = scored(place / "s", place / name, reference=place / "real", **more)
    keys = ["configuration", "epoch", "metric", "encoder"]
    return outcome, rows.set_index(keys)["value"].sort_index()


def test_weights_are_those_that_are_given(place: Path) -> None:
    """A copy of the shipped ones gives their numbers; others, others."""
    shipped = run(place, "shipped")[1]
    (place / "own/w.safetensors").write_bytes(SHIPPED.read_bytes())
    outcome, same = run(place, "run", weights=WEIGHTS)
    pd.testing.assert_series_equal(same, shipped)
    written = tomllib.loads((place / "run/study.toml").read_text())["scoring"]["weights"]
    assert written == {"miniature-image": "../own/w.safetensors"}
    assert run(place, "run", weights=WEIGHTS)[0].done == 0
    torch.manual_seed(1)
    moved = {n: t * (1 + 0.5 * torch.rand(t.shape)) for n, t in load_file(SHIPPED).items()}
    save_file(moved, place / "own/w.safetensors")
    outcome, other = run(place, "run", weights=WEIGHTS)
    assert outcome.done == 3 and (other - shipped).abs().max() > 1e-3
    assert main.call(main.app, ["analyze", str(place / "run")]) == 0


def test_the_batch_size_changes_no_number_and_is_kept_to(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    made = ImageSets.__init__

    def noted(self: ImageSets, *given: object, **more: object) -> None:
        made(self, *given, **more)  # type: ignore[arg-type]  # passed on as it came
        sizes.append(self.batch_size)

    monkeypatch.setattr(ImageSets, "__init__", noted)
    one, many = run(place, "one", batch_size=1)[1], run(place, "many")[1]
    pd.testing.assert_series_equal(one, many, rtol=1e-5, atol=1e-6)
    assert {*sizes} == {1, 16} and run(place, "one", batch_size=3)[0].done == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--weights", "miniature-image"], "--weights NAME=FILE is needed"),
        (["--weights", "miniature-imag=x.safetensors"], "miniature-imag"),
        (["--weights", "miniature-image=no.safetensors"], "there is no file"),
        (["--batch-size", "0"], "greater than or equal to 1"),
    ],
)
def test_mistakes_are_a_sentence(
    place: Path, typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", "s", "--encoders", "miniature-image", "--device", "cpu", *typed]
    assert main.call(main.app, command) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
