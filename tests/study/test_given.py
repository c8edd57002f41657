"""`[given.NAME]`: checkpoints that others trained, in a study file."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.analysis.series import (
    moments_of,
    over_training,
    shown_moments,
    split_by_strength,
)
from lycoris_bench.planning.plan import plan
from lycoris_bench.study.load import StudyError, load, parse
from tests.support.trainers import BASE, ours
from tests.support.world import table


def given(tmp_path: Path, **changes: object) -> dict[str, object]:
    files = [str(ours(tmp_path / f"{name}.safetensors", seed)) for seed, name in enumerate("ab")]
    return {"files": files, "moments": [5, 10], **changes}


def study(one: dict[str, object], **more: object) -> dict[str, object]:
    whole = table(concepts=["toys/bunny"], given={"dog": one}, **more)
    return {k: v for k, v in whole.items() if k not in ("algorithms", "epochs")}


def test_each_file_is_a_checkpoint_at_its_moment_and_each_strength(tmp_path: Path) -> None:
    made = parse(study(given(tmp_path, seed=4), sampling={"strength": [0.5, 1.0]}))
    assert [str(c) for c in made.checkpoints] == [
        "base", "dog/seed-4/epoch-005/strength-0.5", "dog/seed-4/epoch-005",
        "dog/seed-4/epoch-010/strength-0.5", "dog/seed-4/epoch-010",
    ]  # fmt: skip
    assert made.trained == [] and [c.given.path for c in made.given] == list(
        made.settings.given["dog"].files
    )


def test_steps_begin_at_0_and_may_be_millions(tmp_path: Path) -> None:
    made = parse(study(given(tmp_path, moments=[0, 2_000_000], unit="step")))
    assert [str(c) for c in made.given] == ["dog/epoch-000", "dog/epoch-2000000"]


def test_the_last_may_have_no_moment_and_curves_show_it(tmp_path: Path) -> None:
    made = parse(study(given(tmp_path, moments=[5], last=15), sampling={"strength": [0.5, 1.0]}))
    assert [str(c) for c in made.given] == ["dog/epoch-005", "dog"]
    assert [Path(c.given.path).stem for c in made.given if c.given] == ["a", "b"]
    rows = pd.DataFrame(
        [
            {"configuration": c.configuration.name, "strength": c.strength, "epoch": c.epoch,
             "category": "", "value": 0.0}
            for c in made.checkpoints
        ]
    ).astype({"epoch": "Int64"})  # fmt: skip
    metrics, factors = split_by_strength(rows, run_tables.factors(made.configurations))
    assert moments_of(metrics) == {"dog epoch 5": 5, "dog epoch 5 ×0.5": 5}
    shown = {"dog epoch 5": 5, "dog epoch 5 ×0.5": 5, "dog": 15, "dog ×0.5": 15}
    assert shown_moments(metrics, factors) == shown
    curves = over_training(metrics[metrics["configuration"] == "dog"], shown)
    points = {*zip(curves["series"], curves["epoch"], strict=True)}
    assert points == {("dog", 5), ("dog", 15), ("dog ×0.5", 5), ("dog ×0.5", 15)}


def test_the_resolved_study_reads_as_itself(tmp_path: Path) -> None:
    made = parse(study(given(tmp_path, algorithm="lora", options={"dim": 2}, lr=1e-4, unit="step")))
    (tmp_path / "again.toml").write_text(made.toml())
    assert load(tmp_path / "again.toml") == made
    assert "given" not in parse(table()).toml()


def test_images_depend_on_the_content_not_on_the_name(tmp_path: Path) -> None:
    one = plan(parse(study(given(tmp_path / "x"))))
    other = plan(parse(study(given(tmp_path / "y"))))
    last = [asked.checkpoints[-1] for asked in (one, other)]
    assert one.drawn_uid(last[0]) == other.drawn_uid(last[1])
    assert one.drawn_uid(one.checkpoints[1]) != one.drawn_uid(last[0])


def test_a_whole_model_draws_in_the_base_models_place_at_strength_one(tmp_path: Path) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(BASE, tuned)
    asked = plan(parse(study({"files": [str(tuned)]}, sampling={"strength": [0.5, 1.0]})))
    base, whole = asked.checkpoints
    assert str(whole) == "dog" and whole.is_whole
    assert (asked.model_of(whole), asked.parts(whole)) == (str(tuned), [])
    assert asked.model_of(base) == str(BASE)
    assert asked.drawn_uid(whole) != asked.drawn_uid(base)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"moments": [5, 6, 7]}, "3 moments for 2 files"),
        ({"moments": [5], "last": -1}, "given.dog.last"),
        ({"moments": [10, 5]}, "ascending"),
        ({"files": []}, "given.dog.files"),
        ({"unit": "hour"}, "'epoch' or 'step' is allowed"),
        ({"file": "x"}, "unknown key 'given.dog.file'"),
    ],
)
def test_mistakes_are_sentences(change: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=said):
        parse(study({**given(tmp_path), **change}))


def test_files_that_are_no_checkpoints_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    one = {"files": [str(tmp_path / "bad.safetensors"), str(tmp_path / "no.safetensors")]}
    with pytest.raises(StudyError) as caught:
        plan(parse(study({**one, "moments": [1, 2]})))
    assert [p.split(":")[0] for p in caught.value.problems] == ["given.dog", "given.dog"]
