"""Folders as strangers have them: what is scored, and what is said of the rest."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import lycoris_bench as lb
from lycoris_bench.cli import main
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.outcome import Outcome
from lycoris_bench.samples import score
from lycoris_bench.samples.score import score_samples
from lycoris_bench.scoring.score_images import score_images
from tests.support.world import Dying, killed, tiny

pytestmark = pytest.mark.study

TIME = "20240131235959"


def picture(path: Path, seed: int, size: tuple[int, int] = (24, 24), **save: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pixels = np.kron(random.integers(0, 255, (2, 2, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    Image.fromarray(pixels).resize(size).save(path, **save)
    return path


def kohya(folder: Path, steps: Iterable[int] = (100, 200), prompts: str = "ab") -> Path:
    """A folder as kohya writes it, with a prompt's file beside each image."""
    for step in steps:
        for k, prompt in enumerate(prompts):
            for seed in (1, 2):
                name = f"lora_{step:06d}_{2 * k + seed - 1:02d}_{TIME}_{seed}"
                picture(folder / f"{name}.png", 1000 * step + 10 * k + seed)
                (folder / f"{name}.txt").write_text(f"{prompt} cat")
    return folder


def scored(folder: Path, run: Path, **more: Any) -> tuple[Outcome, pd.DataFrame]:
    more = {"encoders": ["miniature-image"], "device": "cpu", **more}
    outcome = score_samples(folder, run=run, **more)
    there = (run / "metrics.parquet").exists()
    return outcome, lb.open_run(run).table("metrics") if there else pd.DataFrame()


@pytest.fixture
def real(tmp_path: Path) -> Path:
    for k in range(3):
        picture(tmp_path / f"real photos/IMG {k}.JPG", 7 + k)
    return tmp_path / "real photos"


def test_values_are_those_of_score_images(tmp_path: Path, real: Path) -> None:
    """Another door to the same metrics: a column's images by hand, without files of rows."""
    folder = kohya(tmp_path / "my lora (final)/sample")
    base = kohya(tmp_path / "base", [0])
    encoders = ["miniature-image", "miniature-image-text", "miniature-gram"]
    outcome, rows = scored(folder, tmp_path / "run", reference=real, base=base, encoders=encoders)
    assert (outcome.done, outcome.status, outcome.warnings) == (4, 0, {})
    assert set(rows["prompt_type"]) == {"given"} and set(rows["seed"].isna()) == {True}
    for step in (100, 200):
        own = sorted(folder.glob(f"*_{step:06d}_*.png"))
        by_hand = score_images(
            own, reference=sorted(real.iterdir()), base=sorted(base.glob("*.png")),
            prompts=["a cat", "a cat", "b cat", "b cat"], diversity_per_prompt=True,
            encoders=encoders, device="cpu",
        ).set_index(["metric", "encoder"])["value"]  # fmt: skip
        ours = rows[rows["epoch"] == step].set_index(["metric", "encoder"])["value"]
        of_other_prompts = {"frechet_distance", "style_loss_to_dataset"}
        by_hand = by_hand.drop(of_other_prompts, level="metric")
        pd.testing.assert_series_equal(
            ours.sort_index(), by_hand.sort_index(), check_names=False, rtol=1e-5
        )
    of_base = rows[rows["configuration"] == "base"].set_index("metric")["value"]
    assert of_base["style_loss"] == 0


def test_formats_endings_and_spaces(tmp_path: Path, real: Path) -> None:
    folder = tmp_path / "a b" / "ünïcode, ☃"
    for k, name in enumerate(("one.PNG", "two.Jpeg", "three.webp", "four.BMP", "5.tiff")):
        picture(folder / name, k, (24 + k, 30))
    outcome, rows = scored(folder, tmp_path / "run", reference=real)
    assert outcome.status == 0 and {*rows["n"]} == {1, 5}
    assert [*outcome.warnings] == ["prompts"]
    assert "no prompt is found for 5 of 5 images" in outcome.warnings["prompts"]
    assert {*rows["configuration"]} == {folder.name, "real"}


def test_one_image_without_anything(tmp_path: Path) -> None:
    picture(tmp_path / "x/one.png", 1)
    outcome, rows = scored(tmp_path / "x", tmp_path / "run")
    assert outcome.failed["score"].startswith("no metric has a number: images are compared with")
    assert rows.empty and not outcome.reported


def test_one_image_with_a_reference(tmp_path: Path, real: Path) -> None:
    outcome, rows = scored(picture(tmp_path / "x/one.png", 1).parent, tmp_path / "r",
                           reference=real)  # fmt: skip
    assert outcome.reported and outcome.status == 0
    assert {*rows[rows["configuration"] == "x"]["metric"]} >= {"image_similarity"}


def test_folders_are_configurations(tmp_path: Path, real: Path) -> None:
    for name in ("first", "second one"):
        for k in range(2):
            picture(tmp_path / "all" / name / f"{k}.png", hash(name) % 1000 + k)
    outcome, rows = scored(tmp_path / "all", tmp_path / "run", reference=real)
    assert outcome.reported and {*rows["configuration"]} == {"first", "second one", "real"}


def test_broken_and_odd_things_are_named_and_the_rest_goes_on(tmp_path: Path, real: Path) -> None:
    folder = kohya(tmp_path / "s")
    (folder / "broken.png").write_bytes(b"\x89PNG no")
    (folder / "cut.jpg").write_bytes(picture(tmp_path / "whole.jpg", 3).read_bytes()[:300])
    (folder / "film.gif").write_bytes(b"GIF89a")
    (folder / "link.png").symlink_to("nowhere")
    (folder / "round").symlink_to(folder)
    (folder / "folder.png").mkdir()
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / "metadata.jsonl").write_text("{\n")
    os.mkfifo(folder / "pipe.png")
    outcome, rows = scored(folder, tmp_path / "run", reference=real)
    assert {*outcome.failed} == {"broken.png", "cut.jpg"} and outcome.status == 1
    said = " ".join(outcome.warnings.values())
    for name in ("film.gif", "link.png", "round", "folder.png", "metadata.jsonl", "pipe.png"):
        assert name in said
    assert {*rows["epoch"].dropna()} == {100, 200} and outcome.reported
    assert "broken.png" in (tmp_path / "run/report/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "n" * 200, "-rf", "=1+1", "%2E%2E", "base"])
def test_hostile_names(tmp_path: Path, real: Path, name: str) -> None:
    for k in range(2):
        picture(tmp_path / "s" / name / f"{name}_{k:06d}_00_{TIME}.png"[-250:], k)
    outcome, rows = scored(tmp_path / "s", tmp_path / "run", reference=real)
    assert outcome.reported and outcome.status == 0
    names = {*rows["configuration"]} - {"real"}
    assert len(names) == 1 and names != {"base"}
    assert all(c.isprintable() for c in names.pop())
    assert {p.name for p in tmp_path.iterdir()} == {"s", "run", "real photos"}
    assert main.call(main.app, ["analyze", str(tmp_path / "run")]) == 0


def test_unpaired_images_are_left_out_of_style_loss_alone(tmp_path: Path, real: Path) -> None:
    folder, base = kohya(tmp_path / "s"), kohya(tmp_path / "base", [0], "a")
    outcome, rows = scored(folder, tmp_path / "run", reference=real, base=base,
                           encoders=["miniature-image", "miniature-gram"])  # fmt: skip
    drawn = rows[~rows["configuration"].isin(["base", "real"])]
    assert {*drawn[drawn["metric"] == "style_loss"]["n"]} == {2}
    assert {*drawn[drawn["metric"] != "style_loss"]["n"]} == {4}
    assert "4 images have no image of the base model with their" in outcome.warnings["base"]
    assert outcome.reported and outcome.status == 0


def test_a_folder_in_which_the_run_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kohya(tmp_path / "s")
    monkeypatch.chdir(tmp_path / "s")
    for done in (2, 0):
        outcome = score_samples(".", encoders=["miniature-image"], device="cpu")
        assert (outcome.done, outcome.failed) == (done, {})
    assert (tmp_path / "s/runs/s/report/index.html").exists()


def test_base_and_reference_inside_the_folder(tmp_path: Path) -> None:
    """They are no configurations of their own."""
    folder = kohya(tmp_path / "s")
    kohya(folder / "before", [0])
    for k in range(2):
        picture(folder / "photos" / f"{k}.png", 70 + k)
    outcome, rows = scored(folder, folder / "run", base=folder / "before",
                           reference=folder / "photos")  # fmt: skip
    assert outcome.status == 0 and {*rows["configuration"]} == {"base", "lora", "real"}


def test_epochs_and_steps_in_one_folder(tmp_path: Path, real: Path) -> None:
    folder = kohya(tmp_path / "s", [500], "a")
    for seed in (1, 2):
        path = picture(folder / f"lora_e000002_00_{TIME}_{seed}.png", seed)
        path.with_suffix(".txt").write_text("a cat")
    outcome, rows = scored(folder, tmp_path / "run", reference=real)
    assert {*rows["epoch"].dropna()} == {2, 500}
    assert "the names of 2 images count epochs, those of others steps" in outcome.warnings["steps"]


def test_a_pattern_that_fits_nothing_is_said(tmp_path: Path, real: Path) -> None:
    outcome, rows = scored(kohya(tmp_path / "s"), tmp_path / "run", reference=real,
                           pattern="{configuration}@{step}")  # fmt: skip
    assert [*outcome.failed] == ["--pattern"] and "fits no name" in outcome.failed["--pattern"]
    assert {*rows["epoch"].dropna()} == {100, 200}


def test_a_grid_is_cut_where_its_layout_is_told(tmp_path: Path, real: Path) -> None:
    """The pieces of an image of four colours are four images of one colour."""
    for step in (1, 2):
        path = picture(tmp_path / f"s/grid_{step}.png", step)
        path.with_suffix(".txt").write_text("a cat")
    before = {p: p.read_bytes() for p in (tmp_path / "s").iterdir()}
    outcome, rows = scored(tmp_path / "s", tmp_path / "whole", reference=real)
    assert "2 images are called a grid and count as one image each" in outcome.warnings["grids"]
    pattern = {"pattern": "grid_{step}", "grid": "2x2"}
    outcome, rows = scored(tmp_path / "s", tmp_path / "cut", reference=real, **pattern)
    assert outcome.warnings == {} and {*rows["epoch"].dropna()} == {1, 2}
    assert {*rows[rows["configuration"] != "real"]["n"]} == {4}
    pieces = [Image.open(p) for p in sorted((tmp_path / "cut/cut").glob("*.png"))]
    assert len(pieces) == 8 and all(len(p.getcolors() or []) == 1 for p in pieces)
    assert before == {p: p.read_bytes() for p in (tmp_path / "s").iterdir()}
    with pytest.raises(BenchError, match="24 x 24 pixels large, which are not 5 rows of 1 equal"):
        scored(tmp_path / "s", tmp_path / "odd", grid="5x1")


def a1111(folder: Path, name: str, seed: int, guidance: float, sampler: str = "Euler") -> None:
    info = PngInfo()
    info.add_text("parameters", f"a cat\nSteps: 20, Sampler: {sampler}, CFG scale: {guidance}, "
                                f"Seed: {seed}, Model: m")  # fmt: skip
    picture(folder / f"{name}.png", seed + int(10 * guidance), pnginfo=info)


def test_what_is_compared_is_no_part_of_the_protocol(tmp_path: Path, real: Path) -> None:
    for guidance in (3.0, 7.5):
        for seed in (1, 2):
            a1111(tmp_path / "s", f"{guidance}-{seed}", seed, guidance)
    outcome, rows = scored(tmp_path / "s", tmp_path / "run", reference=real, group="guidance")
    assert outcome.reported and {*rows["configuration"]} == {"3.0", "7.5", "real"}
    known = {one for one in rows["protocol"] if one}
    assert len(known) == 1
    assert json.loads(known.pop()).items() >= {"sampler": "Euler", "steps": "20"}.items()


def test_unlike_protocols_are_not_ranked(tmp_path: Path, real: Path) -> None:
    for sampler in ("Euler", "DDIM"):
        for seed in (1, 2):
            a1111(tmp_path / "s" / sampler, str(seed), seed, 7, sampler)
    outcome, rows = scored(tmp_path / "s", tmp_path / "run", reference=real)
    assert outcome.status == 1 and not outcome.reported
    assert "sampler" in (said := outcome.failed["report"]) and "the table is written" in said
    assert {*rows["configuration"]} == {"Euler", "DDIM", "real"}


def test_only_what_has_changed_is_scored_again(tmp_path: Path, real: Path) -> None:
    folder, run = kohya(tmp_path / "s"), tmp_path / "run"
    assert scored(folder, run, reference=real)[0].done == 3
    first = sorted(folder.glob("*.png"))[0]
    picture(first, 99)
    outcome, rows = scored(folder, run, reference=real)
    assert (outcome.done, outcome.skipped) == (1, 2)
    table = run / "metrics/lora/epoch-200.parquet"
    table.write_bytes(table.read_bytes()[:-9])
    outcome, again = scored(folder, run, reference=real)
    assert (outcome.done, outcome.skipped) == (1, 2)
    pd.testing.assert_frame_equal(rows, again, check_exact=True)


@pytest.mark.parametrize("fatal", [1, 5, 8, 12, 14])
def test_a_killed_command_goes_on(
    tmp_path: Path, real: Path, fatal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kohya(tmp_path / "s")
    with monkeypatch.context() as patched:
        patched.setattr(score, "Store", lambda root: Dying(Path(root), fatal))
        assert killed(lambda: scored(folder, tmp_path / "run", reference=real)) == 9
    outcome, rows = scored(folder, tmp_path / "run", reference=real)
    assert outcome.reported and outcome.status == 0 and outcome.done + outcome.skipped == 3
    whole = scored(folder, tmp_path / "other", reference=real)[1]
    pd.testing.assert_frame_equal(rows, whole, check_exact=True)
    assert not [*(tmp_path / "run").rglob("*.part")]


def test_a_killed_cut_goes_on(tmp_path: Path, real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "s/a.png", 1).with_suffix(".txt").write_text("a cat")
    asked = {"reference": real, "grid": "2x2"}
    with monkeypatch.context() as patched:
        patched.setattr(score, "Store", lambda root: Dying(Path(root), 4))
        assert killed(lambda: scored(tmp_path / "s", tmp_path / "run", **asked)) == 9
    assert len([*(tmp_path / "run/cut").glob("*.png")]) == 2
    outcome, rows = scored(tmp_path / "s", tmp_path / "run", **asked)
    assert outcome.status == 0 and {*rows["n"]} == {1, 4}
    assert not [*(tmp_path / "run").rglob("*.part")]


# ---- sentences


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["s", "--limit", "2", "--set", "a=b"], "is a folder of images: --set and --limit go wit"),
        (["a.toml", "--reference", "s"], "--reference goes with a folder of images; a.toml is"),
        (["s", "--encoders", "dino"], "unknown encoder 'dino'"),
        (["s", "--encoders", "miniature-image", "--metrics", "vendy"], "unknown metric 'vendy'"),
        (["s", "--group", "modl"], "--group: unknown field 'modl'; did you mean"),
        (["s", "--pattern", "{stp}"], "--pattern: unknown place 'stp'; did you mean 'step'?"),
        (["s", "--grid", "2"], "--grid is '2'; rows and columns such as 2x3 are needed"),
        (["s", "--prompts", "nowhere.txt"], "nowhere.txt"),
        (["s", "--description", "cat"], "--description stands in place of a trigger or a class w"),
        (["s", "--reference", "nowhere"], "nowhere does not exist"),
        (["s", "--base", "nowhere"], "nowhere does not exist"),
        (["s", "--words", "s"], "concepts.toml is missing"),
        (["empty"], "empty holds no image that can be read"),
        (["s", "--run", "other"], "other holds other things and no run of lycoris-bench"),
        (["nowhere"], "there is no such study file"),
        (["s", "--device", "gpu"], "unknown device 'gpu'"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    kohya(tmp_path / "s", [1])
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    assert main.call(main.app, ["score", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and error.count("\n") == 1


def test_a_run_folder_is_of_one_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("a/s", "b/s"):
        kohya(tmp_path / place, [1])
    command = ["score", "--encoders", "miniature-image", "--device", "cpu", "--json"]
    assert main.call(main.app, [*command, "a/s"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["done"], result["failed"]) == (1, {})
    assert main.call(main.app, [*command, "b/s"]) == 2
    said = capsys.readouterr().err
    assert "is of the images in" in said and "choose another with --run" in said
    assert main.call(main.app, [*command, "runs/s"]) == 2
    assert "is a run folder" in capsys.readouterr().err


def test_a_study_does_not_draw_given_prompts() -> None:
    with pytest.raises(BenchError, match="'given' is of images that exist already, which a study"):
        tiny(sampling={"prompt_types": ["train", "given"]})
