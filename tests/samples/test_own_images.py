"""A study's own images, scored from disk as images that exist already."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

import lycoris_bench as lb
from lycoris_bench.cli import main
from lycoris_bench.samples.score import score_samples

ENCODERS = ["miniature-image", "miniature-image-text", "miniature-gram"]
HERE = {"encoders": ENCODERS, "device": "cpu"}
FROM = {"reference": "package:miniature/dataset", "words": "package:prompts/miniature"}
MAY_DIFFER = {"study", "fingerprint", "protocol"}
"""Columns that are of the study and of how its images were drawn, which they do not say in whole;
and with the protocol the fingerprint, so that nothing is taken for the study's own."""


def table(run: Path) -> pd.DataFrame:
    rows = lb.open_run(run).table("metrics")
    return rows[rows["configuration"] != "real"].reset_index(drop=True)


@pytest.fixture(scope="module")
def again(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the small study's images."""
    run = tmp_path_factory.mktemp("samples") / "run"
    outcome = score_samples(small_run / "images", run=run, **FROM, **HERE)
    assert (outcome.done, outcome.failed, outcome.warnings) == (3, {}, {})
    assert outcome.reported
    return run


def test_the_numbers_are_the_study_s_own(small_run: Path, again: Path) -> None:
    """All rows, in their order; values to the last bit."""
    theirs, ours = table(small_run), table(again)
    assert len(theirs) > 60 and set(theirs["configuration"]) == {"base", "lora"}
    same = [column for column in theirs if column not in MAY_DIFFER]
    pd.testing.assert_frame_equal(ours[same], theirs[same], check_exact=True)
    assert set(ours["study"]) == {"run-images"}
    assert not set(ours["protocol"]) & set(theirs["protocol"])


def test_numbers_of_single_images_too(small_run: Path, again: Path) -> None:
    views = table(again)[["metric", "encoder", "resize", "prompt_type"]]
    of_parts = [lb.open_run(run).parts(views) for run in (small_run, again)]
    theirs, ours = (p[p["configuration"] != "real"].reset_index(drop=True) for p in of_parts)
    assert len(theirs) > 60
    same = [column for column in theirs if column not in MAY_DIFFER]
    pd.testing.assert_frame_equal(ours[same], theirs[same], check_exact=True)


def test_the_real_images_are_held_to_each_other(again: Path) -> None:
    rows = lb.open_run(again).table("metrics")
    real = rows[rows["configuration"] == "real"]
    assert set(real["metric"]) == {"image_similarity", "style_loss"} and set(real["protocol"]) == {
        ""
    }


def test_the_run_folder_is_one_like_any_other(again: Path, small_run: Path) -> None:
    """It is opened, and analyzed again, without the images; its page has them inside."""
    study = lb.open_run(again).study
    assert [str(c) for c in study.checkpoints] == ["base", "lora/seed-23/epoch-001"]
    assert study.configurations[0].algorithm == "lora"
    page = (again / "report/index.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") > 8
    assert main.call(main.app, ["analyze", str(again)]) == 0
    assert (again / "report/index.html").read_text().count("data:image/webp") == page.count(
        "data:image/webp"
    )
    assert str(small_run) not in (again / "study.toml").read_text()


def test_its_study_file_is_not_run(again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.call(main.app, ["run", str(again / "study.toml")]) == 2
    assert "its images exist already, so nothing is trained or drawn" in capsys.readouterr().err


@pytest.mark.study
def test_a_copy_elsewhere_gives_the_same(small_run: Path, again: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run / "images", tmp_path / "my pics")
    outcome = score_samples(tmp_path / "my pics", run=tmp_path / "run", **FROM, **HERE)
    assert outcome.done == 3 and not outcome.failed
    theirs, ours = table(again), table(tmp_path / "run")
    same = [c for c in theirs if c not in {"study", "algorithm"}]
    pd.testing.assert_frame_equal(ours[same], theirs[same], check_exact=True)
    assert set(ours["algorithm"]) == {"base", "drawn"}  # no study file says what drew them


def test_the_second_call_has_nothing_to_do(small_run: Path, again: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (again / "metrics").rglob("*.parquet")}
    outcome = score_samples(small_run / "images", run=again, **FROM, **HERE)
    assert (outcome.done, outcome.skipped, outcome.status) == (0, 3, 0)
    assert before == {p: p.stat().st_mtime_ns for p in (again / "metrics").rglob("*.parquet")}
