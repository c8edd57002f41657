"""`plan` and `validate` on the paper's study without its dataset and base model: the paper's
numbers, the rate they rest on, and what is missing, each in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.cli import main
from lycoris_bench.planning.downloads import downloads
from lycoris_bench.planning.plan import plan
from lycoris_bench.planning.time_and_disk import given
from lycoris_bench.study.load import load
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import Concept

Captured = pytest.CaptureFixture[str]
STUDY = str(locate("package:configs/paper.toml", Path()))
# Table 5 as counted with the authors' library, over the 26 configurations.
LORA = 3 * 4_718_592 + 2 * 18_874_368 + 9_992_512 + 2_184_192  # LoHa's are the same
LOKR = 3 * 5_515_520 + 21_998_720 + 3_257_856 + 14_973_504 + 1_914_752
NATIVE = 3 * 352_157_120 + 944_537_924 + 121_885_056


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that name a dataset which is not there, in a machine without a hub cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return ["--set", f"dataset={tmp_path / 'dataset'}"]


def planned(capsys: Captured, *arguments: str) -> dict[str, Any]:
    assert main.call(main.command(), ["plan", STUDY, "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.study
def test_the_papers_numbers(nowhere: list[str], capsys: Captured) -> None:
    found = planned(capsys, *nowhere)
    assert found["checkpoints"] == 234 and found["configurations"] == 26
    assert found["images_per_checkpoint"] == 14_900
    assert found["images_of_checkpoints"] == 3_486_600
    assert found["images"] == 3_486_600 + 14_900  # the base model's
    assert (found["training_images"], found["steps_per_epoch"]) == (1706, 695)
    assert (found["steps_per_run"], found["steps_left"]) == (34_750, 78 * 34_750)
    assert found["rate"]["source"].startswith("assumed")
    hours = {name: seconds / 3600 for name, seconds in found["seconds_left"].items()}
    assert hours["train"] == pytest.approx(78 * 34_750 / 7 / 3600)
    once = 14_900 - 38 * 100  # the agnostic prompts of 39 concepts are the same 100
    assert hours["generate"] == pytest.approx(235 * once / 4 / 3600)
    weights = 2 * 9 * (2 * LORA + LOKR + NATIVE)
    assert found["disk_bytes"] == pytest.approx(3_501_500 * 512 * 512 * 1.85 + weights, abs=1)


def test_what_is_missing_is_said_and_how_to_get_it(nowhere: list[str], capsys: Captured) -> None:
    assert main.call(main.command(), ["plan", STUDY, *nowhere]) == 0
    text = capsys.readouterr().out
    missing = [line for line in text.splitlines() if line.startswith("missing")]
    assert len(missing) == 2
    assert "there is no such folder; put category/class" in missing[0]
    assert "nor in the hub's cache; fetch it with 'hf download stable-diff" in missing[1]
    wanted = [line for line in text.splitlines() if line.startswith("download")]
    assert ["type: hf download" in line for line in wanted] == [True] * 5
    assert "assumed of one H100-class GPU" in text


def test_a_rate_of_ones_own(nowhere: list[str], capsys: Captured) -> None:
    one = [*nowhere, "--limit", "1", "--rate"]
    slow, fast = (planned(capsys, *one, rate) for rate in ("2,4", "4,8"))
    assert slow["seconds_left"]["train"] == 10 * 695 / 2
    assert slow["seconds_left"]["train"] == 2 * fast["seconds_left"]["train"]
    assert slow["rate"] == {"training_steps": 2.0, "images": 4.0, "source": "as given"}
    for wrong in ("fast", "7", "0,8", "7,8,9"):
        with pytest.raises(ValueError, match="two numbers above 0 are needed"):
            given(wrong)


def test_a_base_model_not_known_by_name_is_not_counted(
    nowhere: list[str], capsys: Captured
) -> None:
    arguments = ["plan", STUDY, *nowhere, "--set", "base_model=someone/another-model"]
    assert main.call(main.command(), arguments) == 0
    assert "of images, not counted of checkpoints" in capsys.readouterr().out


def test_validate_is_status_1_and_a_stage_status_2(nowhere: list[str], capsys: Captured) -> None:
    assert main.call(main.command(), ["validate", STUDY, *nowhere]) == 1
    said = capsys.readouterr().out
    assert "26 configurations, 234 checkpoints, 1,706 training images" in said
    assert said.count("missing: ") == 2
    assert main.call(main.command(), ["train", STUDY, *nowhere]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_weights_that_are_there_are_not_asked_for(
    nowhere: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cached(repository: str, name: str, revision: str) -> str | None:
        return "here" if repository.startswith("timm/vgg") else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    settings = load(STUDY).settings
    there = {one.use: one.there for one in downloads(settings, "0123")}
    assert [use for use, found in there.items() if found] == ["base model", "encoder vgg19"]
    local = settings.model_copy(update={"base_model": "/some/folder"})
    assert "base model" not in {one.use for one in downloads(local, "0123")}


def test_the_caption_study_asks_for_three_kinds_of_captions(nowhere: list[str]) -> None:
    absent: list[str] = []
    asked = plan(load(locate("package:configs/captions.toml", Path()), nowhere[1:]), None, absent)
    assert len(asked.trained) == 4 * 3 * 9 and len(absent) == 2
    assert {c.configuration.captions for c in asked.trained} == {"", ".no-tags", ".all-tags"}
    assert all(asked.image_count(c) == 14_900 for c in asked.checkpoints)
    assert Concept("movie characters", "Saw_Gerrera", "bald, 3d") in asked.data.concepts


BASE = "base_model=package:miniature/weights/base"


def test_a_dataset_of_the_papers_shape_needs_only_the_prompt_tree(shaped: Path) -> None:
    """Words come from prompts/paper; "others" are trained on and never drawn."""
    asked = plan(load(STUDY, [f"dataset={shaped}", BASE]))
    drawn = {found.concept for found in asked.prompt_sets}
    assert len(asked.data.concepts) == 43 and len(drawn) == 39
    assert {str(c).split("/")[2] for c in set(asked.data.concepts) - drawn} == {"others"}
    assert [asked.image_count(c) for c in asked.checkpoints[:3]] == [14_900] * 3
    assert len(asked.jobs(asked.checkpoints[1])) == 14_900
    saw = Concept("movie characters", "Saw_Gerrera", "bald, 3d")
    (trigger,) = [s for s in asked.prompt_sets if (s.concept, s.prompt_type) == (saw, "trigger")]
    assert (trigger.prompts, trigger.texts) == (("fck man, bald, 3d",), ("man, bald, 3d",))


def test_the_datasets_own_table_goes_before_the_prompt_trees(shaped: Path) -> None:
    """And its repeats before balancing: 200 images of the one class are 25 batches."""
    own = '["scenes/scene_canal"]\ntrigger = "zzz"\nclass_word = "place"\ndescription = "canal"\n'
    (shaped / "concepts.toml").write_text(own)
    overrides = [f"dataset={shaped}", BASE, "concepts=['scenes/scene_canal']"]
    balanced = plan(load(STUDY, overrides))
    assert {s.prompts[0] for s in balanced.prompt_sets if s.prompt_type == "trigger"} == {
        "zzz place"
    }
    (shaped / "concepts.toml").write_text(own + "repeats = 16\n")
    assert (balanced.steps(1), plan(load(STUDY, overrides)).steps(1)) == (25, 2)
    (shaped / "concepts.toml").write_text(own + "repeats = 0\n")
    with pytest.raises(ValueError, match="scenes/scene_canal: repeats is 0; a number from 1"):
        plan(load(STUDY, overrides))
