"""Whole models that others trained: as folders, as single files, and where a trainer left but some
parts of one."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lycoris_bench.cli.exits import call
from lycoris_bench.cli.main import command
from lycoris_bench.evaluation.concepts import Called
from lycoris_bench.evaluation.evaluation import Asked, Evaluation
from lycoris_bench.evaluation.found import find
from lycoris_bench.evaluation.grouping import trainings
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning.plan import Plan
from lycoris_bench.stages import drawing
from lycoris_bench.stages.evaluation_context import open_evaluation
from lycoris_bench.study.places import locate
from tests.support import compvis_writer, families, random_models
from tests.support.trainers import BASE, moved

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


@pytest.mark.study
def test_files_and_folders_and_a_lone_unet_are_the_same_model(place: Path, base: Path) -> None:
    """One fine-tuned U-Net: in a complete folder, in a single file as other programs save it, and
    as diffusers' scripts leave it, without the other parts."""
    whole = shutil.copytree(base, place / "out/folder")
    shutil.rmtree(whole / "unet")
    other = Backbone.load(random_models.save(place / "other", "sd15", seed=1)).unet
    with torch.no_grad():
        other.conv_out.weight *= 5  # far from the base model's images
    other.save_pretrained(whole / "unet")
    compvis_writer.write(place / "out/file.safetensors", Backbone.load(whole), "sd15")
    shutil.copytree(whole / "unet", place / "out/checkpoint-500/unet")
    (place / "out/checkpoint-500/optimizer.bin").write_bytes(b"x")
    typed = ["eval", "out", "--base", str(base), *SMALL, "--keep-images", "all", "--run", "run"]
    assert call(command(), typed) == 0
    drawn = images(place / "run")
    of_folder = drawn["out-folder"]
    assert len(of_folder) == 2 and abs(of_folder - drawn["base"]).max() > 5
    table = values(place / "run")
    assert len(table) > 2
    for name in ("out-file", "out"):
        assert abs(drawn[name] - of_folder).max() <= 1  # the last digits of products
        np.testing.assert_allclose(table[name], table["out-folder"], rtol=1e-3)


def unet_in(folder: Path, seed: int) -> Path:
    """The miniature model's U-Net, moved at random, as `save_pretrained` writes it."""
    unet = Backbone.load(BASE).unet
    moved(unet.parameters(), seed, 0.05)
    unet.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a full fine-tuning by diffusers' scripts leaves: checkpoints with a U-Net and its
    averages, and the whole pipeline at the end."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    shutil.copytree(BASE, out)
    unet_in(out / "checkpoint-500/unet", 1)
    unet_in(out / "checkpoint-1000/unet", 2)
    unet_in(out / "checkpoint-1000/unet_ema", 3)
    for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
        (out / "checkpoint-500" / name).write_bytes(b"x")
    return out


def test_checkpoints_with_a_unet_alone_are_found_and_averages_when_given(tuned: Path) -> None:
    problems: dict[str, str] = {}
    run = tuned.parent / "run"
    [training] = trainings(find([tuned], problems), problems, run)
    assert (training.name, training.unit, training.moments) == ("out", "step", (500, 1000))
    lacks = [one.lacks for one in training.checkpoints]
    assert lacks == [("text_encoder", "vae", "tokenizer", "scheduler")] * 2 + [()]
    [averaged] = trainings(find([tuned / "checkpoint-1000/unet_ema"], problems), problems, run)
    assert (averaged.name, averaged.moments) == ("out-unet_ema", (1000,))
    assert not problems


@pytest.mark.parametrize("part", ["", "unet_ema"])
def test_the_parts_that_are_there_take_the_place_of_the_base_models(tuned: Path, part: str) -> None:
    folder = tuned / "checkpoint-1000"
    loaded, base = Backbone.load(folder / part, over=BASE), Backbone.load(BASE)
    saved = load_file(folder / (part or "unet") / "diffusion_pytorch_model.safetensors")
    assert saved.keys() == loaded.unet.state_dict().keys()
    assert all(torch.equal(v, saved[name]) for name, v in loaded.unet.state_dict().items())
    for own, theirs in ((loaded.vae, base.vae), (loaded.text_encoder, base.text_encoder)):
        state = theirs.state_dict()
        assert all(torch.equal(v, state[name]) for name, v in own.state_dict().items())


def opened(place: Path, base: Path, *checkpoints: Path) -> tuple[Evaluation, Plan]:
    asked = Asked([*map(str, checkpoints)], str(base), str(place / "toys"), called=Called("olis"))
    with open_evaluation(asked, place / "run", device="cpu") as context:
        return context.evaluation, context.study.plan


def test_identity_is_of_the_parts_and_of_the_base_model(place: Path, tuned: Path) -> None:
    def drawn(base: Path) -> str:
        plan = opened(place, base, place / "checkpoint-500")[1]
        return plan.drawn_uid(plan.checkpoints[1])

    unet_in(place / "checkpoint-500/unet", 1)
    first = drawn(BASE)
    shutil.copytree(tuned / "checkpoint-1000/unet", place / "checkpoint-500/unet_ema")
    (place / "checkpoint-500/optimizer.bin").write_bytes(b"y")
    assert drawn(BASE) == first  # neither is read
    other = shutil.copytree(BASE, place / "other")
    unet_in(other / "unet", 5)
    assert drawn(other) != first
    unet_in(place / "checkpoint-500/unet", 2)
    assert drawn(BASE) != first


def test_what_the_base_model_adds_is_said(place: Path, tuned: Path) -> None:
    made, plan = opened(place, BASE, tuned)
    notes = " ".join(made.notes)
    assert "text_encoder, vae, tokenizer, scheduler are the base model's" in notes
    assert f"give {tuned / 'checkpoint-1000/unet_ema'} to draw them" in notes
    assert [plan.rest_of(c) for c in plan.checkpoints] == [None, str(BASE), str(BASE), None]


def test_other_layouts_are_a_sentence_each(place: Path, tuned: Path, base: Path) -> None:
    unet = tuned / "checkpoint-500/unet/diffusion_pytorch_model.safetensors"
    for name in ("checkpoint-1/unet", "checkpoint-3"):
        (place / "out" / name).mkdir(parents=True)
    shutil.copytree(base / "unet", place / "out/checkpoint-2/unet")
    shutil.copyfile(unet, place / "out/checkpoint-3/model.safetensors")  # accelerate's own state
    unet_in(place / "out/checkpoint-4/unet", 1)
    made, plan = opened(place, BASE, place / "out")
    assert {Path(path).relative_to(place / "out").parts[0]: said
            for path, said in made.problems.items()} == {
        "checkpoint-1": "holds no weights in unet",
        "checkpoint-2": "has a U-Net that reads texts of width 64, and the base model's has 96; "
                        "give --base the model that was trained",
        "checkpoint-3": "holds a U-Net without its configuration; give the folder that a trainer "
                        "saves with one: checkpoint-500, with unet/config.json in it",
    }  # fmt: skip
    assert [c.epoch for c in plan.checkpoints] == [None, 4]


def test_a_model_that_is_written_anew_is_loaded_anew(place: Path) -> None:
    """In the process that drew the one before it, as `watch` does."""
    drawing._loaded.cache_clear()
    unet_in(place / "out/unet", 1)
    how = (str(place / "out"), str(BASE))
    before = drawing._loaded(*how, "one", "cpu", "fp32", False)[0].unet
    assert drawing._loaded(*how, "one", "cpu", "fp32", False)[0].unet is before
    unet_in(place / "out/unet", 2)
    after = drawing._loaded(*how, "other", "cpu", "fp32", False)[0].unet
    drawing._loaded.cache_clear()
    assert not torch.equal(after.conv_in.weight, before.conv_in.weight)
