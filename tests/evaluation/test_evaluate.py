"""`eval` and `watch`, as a user types them."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from lycoris_bench.analysis.stored_run import open_run
from lycoris_bench.cli.exits import call
from lycoris_bench.cli.main import command
from lycoris_bench.evaluation.concepts import Called
from lycoris_bench.evaluation.evaluation import Asked
from lycoris_bench.stages.evaluation_context import open_evaluation
from lycoris_bench.study.places import locate
from tests.support.trainers import BASE, of_lycoris, of_peft, ours

BUNNY = locate("package:miniature/dataset/toys/bunny", Path())
SMALL = [
    "--base", "package:miniature/weights/base", "--images", "toys", "--class-word", "toy",
    "--set", "sampling.steps=1", "--set", "sampling.width=32", "--set", "sampling.height=32",
    "--workers", "1", "--device", "cpu",
]  # fmt: skip

pytestmark = [pytest.mark.study, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's folder: three adapters of unlike layouts, a whole model, and photographs."""
    folder = tmp_path_factory.mktemp("stranger's files")
    torch.manual_seed(0)  # of what PEFT and LyCORIS begin with
    ours(folder / "out/dog-000005.safetensors", 1, ss_steps="50")
    ours(folder / "out/dog.safetensors", 2, 0.1, ss_steps="100")
    of_peft(folder / "out/checkpoint-7")
    of_lycoris(folder / "out/hada.safetensors")
    shutil.copytree(BASE, folder / "out/same")
    shutil.copytree(BUNNY, folder / "toys", ignore=shutil.ignore_patterns("*.txt"))
    return folder


@pytest.fixture(scope="module")
def evaluated(place: Path) -> Path:
    """One command on all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert call(command(), ["eval", "out", "--trigger", "olis", "--count", "3", *SMALL]) == 0
    return place / "runs/eval-out"


def test_one_command_evaluates_unlike_layouts_and_says_which_to_keep(evaluated: Path) -> None:
    found = json.loads((evaluated / "analysis/findings.json").read_text())
    names = {row["checkpoint"] for row in found["keeping"]["checkpoints"]}
    assert names == {
        "out-dog epoch 5", "out-dog", "out step 7", "out-hada", "out-same",
    }  # fmt: skip
    assert {row["checkpoint"]: row["file"] for row in found["keeping"]["checkpoints"]} == {
        "out-dog epoch 5": "dog-000005.safetensors", "out-dog": "dog.safetensors",
        "out step 7": "checkpoint-7", "out-hada": "hada.safetensors", "out-same": "same",
    }  # fmt: skip
    said = " ".join(found["sentences"])
    assert "out-same draws the base model's own pictures" in said
    assert "may be kept" in said or "Keep " in said  # which, is the pictures' to say
    assert any("numbers of parameters" in line for line in found["keeping"]["unlike"])
    page = (evaluated / "report/index.html").read_text()
    assert "Which to keep" in page and "out-dog" in page
    assert "<td>dog.safetensors</td>" in page
    # what is asked for comes first, in the page and in its navigation, and nothing is empty
    for first, second in (('id="keeping"', 'id="explore"'), ('#keeping"', 'href="#explore"')):
        assert 0 < page.index(first) < page.index(second)
    assert "What matters" not in page and "#factors" not in page
    sections = re.findall(r"<section[^>]*>\s*<h2>([^<]*)</h2>\s*</section>", page)
    assert not sections


def test_means_are_those_of_the_metric_table(evaluated: Path) -> None:
    """The numbers of the advice, from images one by one, against the rows of whole sets."""
    rows = pd.read_parquet(evaluated / "metrics.parquet")
    found = json.loads((evaluated / "analysis/findings.json").read_text())["keeping"]
    wanted = rows[(rows["metric"] == "image_similarity") & (rows["prompt_type"] == "trigger")]
    wanted = wanted[wanted["encoder"] == "miniature-image"]
    by_name = {row["checkpoint"]: row["fidelity"]["value"] for row in found["checkpoints"]}
    for row in wanted[wanted["configuration"] == "out-dog"].itertuples():
        assert by_name[
            "out-dog" if pd.isna(row.epoch) else f"out-dog epoch {row.epoch:.0f}"
        ] == pytest.approx(row.value, rel=1e-6)
    base = wanted[wanted["configuration"] == "base"]["value"].item()
    assert found["references"]["fidelity"]["base"] == pytest.approx(base)
    assert by_name["out-same"] == pytest.approx(base, rel=1e-6)  # a whole model with base's weights
    # and of a metric of sets: what images contribute has the mean of the whole set's number
    sets = rows[(rows["metric"] == "vendi") & (rows["prompt_type"] == "trigger")]
    sets = sets[(sets["configuration"] == "out-dog") & (sets["encoder"] == "miniature-image")]
    diverse = {row["checkpoint"]: row["diversity"]["value"] for row in found["checkpoints"]}
    for row in sets.itertuples():
        name = "out-dog" if pd.isna(row.epoch) else f"out-dog epoch {row.epoch:.0f}"
        assert diverse[name] == pytest.approx(row.value, rel=1e-5)
    assert found["prompts"]["diversity"] == 3 and found["prompts"]["preservation"] == 3
    halves = open_run(evaluated).parts(sets[["metric", "encoder", "resize", "prompt_type"]])
    assert halves.empty  # half of three is one image, and sets without an image are no halves


def test_typed_again_it_draws_nothing_and_says_the_same(
    evaluated: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (evaluated / "metrics.csv").read_bytes()
    drawn = max(path.stat().st_mtime_ns for path in (evaluated / "metrics").rglob("*.parquet"))
    monkeypatch.chdir(place)
    assert call(command(), ["eval", "out", "--trigger", "olis", "--count", "3", *SMALL]) == 0
    assert (evaluated / "metrics.csv").read_bytes() == before
    after = max(path.stat().st_mtime_ns for path in (evaluated / "metrics").rglob("*.parquet"))
    assert after == drawn
    assert call(command(), ["analyze", str(evaluated)]) == 0
    again = json.loads((evaluated / "analysis/findings.json").read_text())
    assert again["keeping"]["checkpoints"]


def test_one_more_file_leaves_what_is_drawn_as_it_is(place: Path, tmp_path: Path) -> None:
    """Where images lie, and the identity of what draws them, with and without a neighbour."""

    def drawn(*checkpoints: str) -> dict[Path, str]:
        files = [str(tmp_path / name) for name in checkpoints]
        asked = Asked(files, str(BASE), str(place / "toys"), called=Called("olis", "toy"))
        with open_evaluation(asked, tmp_path / "runs/eval-a", device="cpu") as opened:
            plan, store = opened.study.plan, opened.study.store
            return {store.branch(c): plan.drawn_uid(c) for c in plan.checkpoints}

    for k, name in enumerate(("a/dog", "a/dog-000005", "b/dog", "c/a/dog", "a/dog-000010")):
        ours(tmp_path / f"{name}.safetensors", k, ss_epoch="9", ss_steps="90")
    first = drawn("a/dog.safetensors")
    second = drawn("a/dog-000005.safetensors", "a/dog.safetensors", "c")
    third = drawn("b", "a", "c")
    assert [len(one) for one in (first, second, third)] == [2, 4, 6]  # with the base model
    assert first.items() <= second.items() <= third.items()


def test_a_dry_run_writes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    typed = ["eval", "out", "--strength", "0.5", "--strength", "1", *SMALL, "--run", "dry",
             "--dry-run", "--rate", "1,10"]  # fmt: skip
    assert call(command(), typed) == 0
    said = capsys.readouterr()
    assert not (place / "dry").exists()
    assert "of 9 checkpoints and of the base model" in said.err and "time left" in said.out
    # two of `dog`, one each of three others, and nothing of trainings, as there are none
    assert "checkpoints  5 files of 4 trainings that others ran" in said.out
    assert "at 10 images a second" in said.out
    for word in ("step", "train ", "there", "of checkpoints in all"):
        assert word not in said.out.replace(" there\n", "\n"), word


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["out", "--base", "missing/model"], "base model 'missing/model'"),
        (["out", "--images", "nothing"], "there is no such folder"),
        (["out", "--prompts", "no.txt"], "--prompts: there is no no.txt"),
        (["out", "--prompts", "../own.txt", "--dry-run"], "own.txt: line 1 holds {name}"),
        (["out", "--encoder", "dino"], "dino"),
        (["out", "--rate", "1,2"], "--rate goes with --dry-run"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    typed: list[str], said: str, place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    (place.parent / "own.txt").write_text("{name} in a room")
    assert call(command(), ["eval", *SMALL, *typed, "--run", "bad"]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_nothing_says_what_the_concept_is_called(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    without = [word for word in SMALL if word not in ("--class-word", "toy")]
    assert call(command(), ["eval", "out", *without, "--run", "bad"]) == 2
    assert "give --trigger WORD, --class-word WORD" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named_and_the_rest_goes_on(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    whole = (place / "out/dog.safetensors").read_bytes()
    for name, content in (("good", whole), ("cut", whole[:4000])):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    typed = ["eval", str(tmp_path), *SMALL, "--count", "2", "--run", str(tmp_path / "run")]
    assert call(command(), typed) == 1
    said = capsys.readouterr()
    assert "left out:" in said.err and "cut.safetensors" in said.err
    assert "Fidelity of good, the only checkpoint" in said.out


def test_numbers_are_grouped_by_prompt() -> None:
    from lycoris_bench.analysis.keeping.numbers import _table

    rows = pd.DataFrame(
        [
            {"configuration": c, "epoch": np.nan, "strength": 1.0, "category": "a", "class": "b",
             "subclass": "", "second": "", "prompt_type": "alter", "image": f"{k:05d}.png",
             "value": k + 10 * i}
            for i, c in enumerate("xy")
            for k in range(5)
        ]
    )  # fmt: skip
    found = _table(rows, {("a/b", "alter"): 2})  # images 0, 1, 2 are of the first prompt
    assert found.to_numpy().tolist() == [[1.0, 3.5], [11.0, 13.5]]
    assert _table(rows, {}).shape == (2, 5)


def test_what_was_left_out_or_failed_is_on_the_page_with_its_reason(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    for name in ("dog", "twin"):
        shutil.copyfile(place / "out/dog.safetensors", tmp_path / f"{name}.safetensors")
    wrong = {
        f"lora_unet_mid_block_attentions_0_proj_in.{end}.weight": torch.ones(shape)
        for end, shape in (("lora_down", (2, 7)), ("lora_up", (7, 2)))
    }
    save_file(wrong, tmp_path / "wrong.safetensors")
    save_file({"encoder.conv_in.weight": torch.zeros(2)}, tmp_path / "vae.safetensors")
    typed = ["eval", str(tmp_path), *SMALL, "--run", str(tmp_path / "run"), "--count", "2"]
    assert call(command(), typed) == 1
    reason = next(
        line.split("wrong: ", 1)[1] for line in capsys.readouterr().err.splitlines()
        if line.startswith("run: ") and "wrong: " in line
    )  # fmt: skip
    page = html.unescape((tmp_path / "run/report/index.html").read_text())
    assert re.search(r"dog\S* and \S*twin\S* are the same weights: they draw the same", page)
    assert "vae.safetensors: holds a VAE, and no adapter" in page and str(tmp_path) not in page
    assert reason in page and "is not scored under the study's present settings" not in page


def test_what_contradicts_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(place)
    (tmp_path / "texts").mkdir()
    run = ["--run", str(tmp_path / "run")]
    for more, said in (
        (["--count", "2", "--set", "sampling.images=4"], "--count says what sampling.images is"),
        (["--strength", "1", "--set", "sampling.strength=[2]"], "--strength says what"),
        (["--prompts", str(tmp_path / "texts")], "is no prompt tree, as it has no concepts.toml"),
    ):
        assert call(command(), ["eval", "out", *SMALL, *run, *more]) == 2
        assert said in capsys.readouterr().err


def test_an_adapter_of_another_family_is_named_and_left_out(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    shutil.copyfile(place / "out/dog.safetensors", tmp_path / "dog.safetensors")
    ours(tmp_path / "big.safetensors", ss_base_model_version="sdxl_base_v1-0")
    sdxl = {
        f"lora_te2_text_model_encoder_layers_{k}_self_attn_q_proj.{end}": value
        for k in range(2)
        for end, value in {
            "lora_down.weight": torch.ones(2, 1280), "lora_up.weight": torch.ones(1280, 2),
        }.items()
    }  # fmt: skip
    save_file(sdxl, tmp_path / "xl.safetensors")
    typed = ["eval", str(tmp_path), *SMALL, "--run", str(tmp_path / "run"), "--dry-run",
             "--rate", "1,9"]  # fmt: skip
    call(command(), typed)
    said = capsys.readouterr().err
    assert (
        "xl.safetensors: is for Stable Diffusion XL, and the base model is Stable Diffusion 1"
        in said
    )
    assert "dog:" in said
