"""Held-out images are what they are called, or a sentence says how far they are not."""

import json
import shutil
from pathlib import Path

import pytest
import tomli_w
from PIL import Image

from lycoris_bench.cli import main, session
from lycoris_bench.data.dataset import scan
from lycoris_bench.data.heldout import held_out
from lycoris_bench.data.images import DataError
from tests.support.world import table

A_TABLE = '["{}"]\ntrigger = "olis"\nclass_word = "toy"\ndescription = "bunny toy"\n'


def paint(folder: Path, name: str, grey: int) -> None:
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), grey).save(path)
    path.with_suffix(".txt").write_text("olis toy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """dataset: two bunnies, two frogs and one of the leftovers; heldout: as many of other grey."""
    for place, start in (("dataset", 0), ("heldout", 100)):
        for k, name in enumerate(("a/1", "a/2", "b/1", "b/2", "others/1")):
            paint(tmp_path / place, f"toys/bunny/{name}", start + k)
    return tmp_path


def doubts(folder: Path) -> tuple[str, ...]:
    return held_out(str(folder / "heldout"), scan(folder / "dataset"))[1]


def test_other_images_raise_no_doubt(folder: Path) -> None:
    assert doubts(folder) == ()
    assert held_out(None, scan(folder / "dataset")) == (None, ())


def test_some_training_images_are_counted_and_named_wherever_they_lie(folder: Path) -> None:
    own = folder / "heldout/toys/bunny"
    shutil.copy(folder / "dataset/toys/bunny/a/1.png", own / "a/2.png")
    shutil.copy(folder / "dataset/toys/bunny/a/2.png", own / "b/7.png")
    for k in (1, 2):
        shutil.copy(folder / "dataset/toys/bunny/b/1.png", own / f"others/1{k}.png")
    assert doubts(folder) == (
        f"heldout {folder}/heldout: 4 of 8 images are training images (toys/bunny/a/2.png, "
        "toys/bunny/b/7.png, toys/bunny/others/11.png and 1 more); "
        "take them out of one of the two folders",
    )


@pytest.mark.parametrize("others", [True, False])
def test_nothing_but_training_images_is_an_error(folder: Path, others: bool) -> None:
    """Images that no concept of the study asks for do not make it better."""
    shutil.rmtree(folder / "heldout")
    shutil.copytree(folder / "dataset", folder / "heldout")
    if others:
        paint(folder / "heldout", "toys/bunny/others/9", 200)
        paint(folder / "heldout", "toys/frog/1", 201)
    with pytest.raises(DataError, match=r"heldout .*: all 4 images are training images \(toys/bun"):
        doubts(folder)


def test_concepts_without_held_out_images_are_counted_and_named(folder: Path) -> None:
    """The leftovers of a class are not asked for."""
    shutil.rmtree(folder / "heldout/toys/bunny/b")
    shutil.rmtree(folder / "heldout/toys/bunny/others")
    said = "1 of 2 concepts have no image there (toys/bunny/b); they have no ceiling of real images"
    assert doubts(folder) == (f"heldout {folder}/heldout: {said}",)
    (folder / "heldout/toys/bunny").rename(folder / "heldout/toys/cat")
    assert "2 of 2 concepts have no image there (toys/bunny/a, toys/bunny/b)" in doubts(folder)[0]


def test_images_alone_are_of_the_one_concept(folder: Path) -> None:
    """A folder of images has another name than the one that is trained on."""
    (folder / "heldout/toys/bunny/a").rename(folder / "kept back")
    for data in ("dataset/toys/bunny/a", "dataset/toys"):
        shutil.rmtree(folder / "dataset/toys/bunny/b", ignore_errors=True)
        shutil.rmtree(folder / "dataset/toys/bunny/others", ignore_errors=True)
        trained = scan(folder / data)
        found, doubts = held_out(str(folder / "kept back"), trained)
        assert found is not None and found.concepts == trained.concepts and doubts == ()
        assert [e.path.name for e in found.examples] == ["1.png", "2.png"]


def test_images_alone_are_of_no_concept_of_several(folder: Path) -> None:
    (folder / "heldout/toys/bunny/a").rename(folder / "kept back")
    said = held_out(str(folder / "kept back"), scan(folder / "dataset"))[1]
    assert "2 of 2 concepts have no image there" in said[0]


def test_an_absent_folder_is_called_by_its_key(folder: Path) -> None:
    with pytest.raises(DataError, match="^heldout .*nowhere: there is no such folder"):
        held_out(str(folder / "nowhere"), scan(folder / "dataset"))


def test_the_commands_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, other = tmp_path / "dataset", tmp_path / "heldout"
    for k in (1, 2):
        paint(data, f"toys/bunny/{k}", k)
        paint(other, f"toys/bunny/{k}", k + 1)
    (data / "concepts.toml").write_text(A_TABLE.format("toys/bunny"))
    study = tmp_path / "study.toml"
    own = table(dataset=str(data), heldout=str(other), concepts=["*"])
    study.write_text(tomli_w.dumps(own))
    assert main.call(main.command(), ["validate", str(study), "--json"]) == 0
    shown = capsys.readouterr()
    said = "1 of 2 images are training images (toys/bunny/1.png)"
    assert f"warning: heldout {other}: {said}" in shown.err
    assert said in json.loads(shown.out)["warnings"][0]
    for stage in (None, "train"):  # looking only, as `plan` does, and before a stage runs
        session.open_study(str(study), tmp_path / "run", [], None, None, device="cpu", to_run=stage)
        assert said in capsys.readouterr().err
    paint(other, "toys/bunny/2", 1)
    assert main.call(main.command(), ["validate", str(study)]) == 2
    assert "all 2 images are training images" in capsys.readouterr().err
