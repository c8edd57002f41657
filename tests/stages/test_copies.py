"""The whole line of copies: images that are training images with noise, from the rows to the page,
and what a run folder has of it without its dataset; slow: a checkpoint that is trained to copy."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import lycoris_bench as lb
from benchmarks.copying import WORLD, judged, trained
from lycoris_bench.analysis.copying.pairs import OF_ONE, pairs_of, worst_of_each
from lycoris_bench.analysis.copying.rates import COPIES, NOT_SHOWN
from lycoris_bench.analysis.report.image_choice import thumbnail
from lycoris_bench.analysis.run_tables import analyze_folder
from lycoris_bench.data.images import read_image
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import Checkpoint
from tests.support.world import tiny

pytestmark = pytest.mark.study

METRICS = ["nearest_similarity", "copy_quantile", "copy_rate", "image_similarity"]


def study(**sampling: object) -> Study:
    return tiny(
        name="copies", concepts=["toys/*"], epochs=[1],
        algorithms={"lora": {"lr": 2e-3, "dim": 2}, "lokr": {"lr": 2e-3, "factor": 4}},
        sampling={"prompt_types": ["trigger"], "images": 3, **sampling},
        scoring={"encoders": ["miniature-image"], "metrics": METRICS},
    )  # fmt: skip


def checkpoints(asked: Study) -> dict[str, Checkpoint]:
    return {one.configuration.name: one for one in asked.checkpoints if not one.is_base}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose images by `lora` are training images with noise, and by `lokr` its own."""
    folder, asked = tmp_path_factory.mktemp("copies") / "run", study()
    for stage in ("train", "generate"):
        lb.run_stage(stage, asked, folder)
    store, rng = Store(folder), np.random.default_rng(0)
    place = store.manifest(checkpoints(asked)["lora"]).parent
    for path in sorted(place.rglob("*.png")):
        training = sorted((WORLD / "dataset" / "toys" / path.parent.parent.name).glob("*.png"))
        pixels = np.asarray(read_image(training[int(path.stem) + 1]))
        noisy = (pixels + rng.normal(0, 2, pixels.shape)).clip(0, 255).astype(np.uint8)
        store.put_image(path, noisy, {"uid": store.image_uid(path)})
    for stage in ("score", "analyze"):
        outcome = lb.run_stage(stage, asked, folder)
        assert outcome.done and not outcome.failed
    return folder


def test_who_copies_is_said_and_nobody_else_is(copied: Path) -> None:
    run = lb.open_run(copied)
    table = run.table("copies")
    of_all = table[(table["category"] == "all categories") & (table["unit"] == "")]
    verdicts = dict(zip(of_all["configuration"], of_all["verdict"], strict=True))
    assert verdicts == {"lora": COPIES, "lokr": NOT_SHOWN}
    said = [line for line in run.findings["sentences"] if "training images:" in line]
    assert len(said) == 1 and said[0].startswith("lora copies training images: ")


def test_each_images_partner_is_the_one_it_was_made_of(copied: Path) -> None:
    asked = study()
    found = pairs_of(Store(copied), checkpoints(asked)["lora"])
    assert len(found) == 18
    for row in found.to_dict("records"):
        files = sorted((WORLD / "dataset" / "toys" / row["class"]).glob("*.png"))
        made_of = files[int(Path(row["image"]).stem) + 1]
        assert row["nearest"] == hashlib.sha256(made_of.read_bytes()).hexdigest()
        assert row["among"] == len(files)


def test_the_page_shows_the_pairs_and_no_name_of_a_training_image(copied: Path) -> None:
    page = lb.open_run(copied).report.read_text()
    pairs = Store(copied).frame(Store(copied).table("pairs"))
    assert pairs is not None
    table = pairs[0]
    assert table["series"].value_counts().to_dict() == {
        "lora/seed-23/epoch-001": OF_ONE, "lokr/seed-23/epoch-001": OF_ONE,
    }  # fmt: skip
    assert table["copied"].to_list() == [1, 1, 0, 0]
    for row in table[table["copied"] == 1].itertuples():
        folder = WORLD / "dataset" / row.concept
        assert row.training in [thumbnail(path) for path in folder.glob("*.png")]
    assert page.count("the training image of ") == len(table)
    assert "nearer than any two of the" in page and 'id="copying"' in page
    assert "0002.png" not in page and str(WORLD) not in page


def test_a_run_folder_alone_has_them_still(copied: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(copied, alone, ignore=shutil.ignore_patterns("images", "checkpoints"))
    (alone / "report" / "index.html").unlink()
    analyze_folder(Store(alone))
    page = (alone / "report" / "index.html").read_text()
    assert page.count("the training image of ") == 2 * OF_ONE


def test_a_sample_keeps_the_images_of_the_worst_pairs(tmp_path: Path) -> None:
    asked = study(images=6)
    lb.run_stage("run", asked, tmp_path / "run")
    store = Store(tmp_path / "run")
    for checkpoint in checkpoints(asked).values():
        worst = worst_of_each(pairs_of(store, checkpoint))
        assert len(worst) == OF_ONE
        for row in worst.to_dict("records"):
            folder = store.manifest(checkpoint).parent / "toys" / row["class"] / "trigger"
            assert (folder / row["image"]).exists()
    assert store.table("pairs").exists()


@pytest.mark.slow
def test_a_checkpoint_that_is_trained_to_copy_is_flagged_and_the_demos_is_not(
    tmp_path: Path,
) -> None:
    said = {name: "\n".join(judged(run)) for name, run in trained(tmp_path)}
    assert "copies training images" in said["copied"]
    assert "copies training images" not in said["default"]
