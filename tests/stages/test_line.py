"""The straight line, end to end in this process: what it makes, and how it survives a kill."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.rows import HALVES
from lycoris_bench.stages import fine_tuning
from lycoris_bench.study.records import BASE_CHECKPOINT, MetricRow
from tests.support.pages import without_scripts
from tests.support.world import HERE, STAGES, Dying, killed, run, tiny

pytestmark = pytest.mark.usefixtures("undrawn")


STUDY = {"concepts": ["toys/bunny"], "sampling": {"steps": 1}}


@pytest.fixture(scope="module")
def asked(quick_base: str) -> Plan:
    return plan(tiny(**STUDY, base_model=quick_base))


@pytest.fixture(scope="module")
def whole(asked: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An uninterrupted run of all stages."""
    store = Store(tmp_path_factory.mktemp("whole"))
    outcomes = run(asked, store)
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes
    return store


def test_the_table_has_a_row_for_every_cell(asked: Plan, whole: Store) -> None:
    found = whole.frame(whole.table("metrics"))
    assert found is not None
    rows = found[0]
    assert list(rows.columns) == MetricRow.columns()
    assert set(rows["configuration"]) == {"base", "real", "lora", "lokr"}
    made = rows[~rows["configuration"].isin(["base", "real"])]
    concepts = {p.concept for p in asked.prompt_sets}
    cells = made.groupby(["configuration", "epoch"]).size()
    assert cells.nunique() == 1
    whole = made["category"] == ""  # one number a checkpoint
    assert set(made[whole]["metric"]) == {"frechet_distance"}
    assert (made[whole].groupby(["configuration", "epoch", "encoder"]).size() == 1).all()
    made = made[~whole]
    by_metric = made[made["epoch"] == 2].groupby(["metric", "encoder", "prompt_type"]).size()
    assert (by_metric == 2 * len(concepts)).all()
    assert ("style_loss", "miniature-gram", "style") in by_metric.index
    assert ("text_similarity", "miniature-image-text", "alter") in by_metric.index
    assert ("image_similarity", "miniature-image", "train") in by_metric.index
    assert ("vendi", "miniature-image", "trigger") in by_metric.index
    assert not rows["value"].isna().any()
    assert (rows[rows["configuration"] == "base"]["seed"].isna()).all()
    real = rows[rows["configuration"] == "real"]
    assert set(real["metric"]) == {"image_similarity"}, "what needs equal n has no ceiling"


def test_the_report_says_on_how_many_images_the_frechet_distance_rests(whole: Store) -> None:
    """One class: its two drawn images, in 128 dimensions."""
    page = whole.report.read_text(encoding="utf-8")
    assert "weighted images · frechet_distance, miniature-image, letterbox</dt><dd>2 drawn" in page
    assert "so few drawn and dataset images have a singular covariance" in page


def test_base_against_itself_has_no_style_loss(whole: Store) -> None:
    rows = whole.frame(whole.table("metrics"))[0]
    loss = rows[(rows["configuration"] == "base") & (rows["metric"] == "style_loss")]["value"]
    assert len(loss) and (loss == 0).all()
    other = rows[(rows["configuration"] == "lora") & (rows["metric"] == "style_loss")]["value"]
    assert (other > 0).all()


def test_rows_per_image_average_to_the_metric(asked: Plan, whole: Store) -> None:
    for checkpoint in asked.checkpoints[:2]:
        branch = whole.branch(checkpoint)
        rows = whole.frame(whole.metrics(branch))[0]
        images = whole.frame(whole.metrics(branch, "-images"))[0]
        halves = images["image"].isin(HALVES)
        assert set(images[halves]["metric"]) == {
            "centroid_distance"
        }  # of one image each: no diversity
        images = images[~halves]
        keys = ["class", "prompt_type", "metric", "encoder"]
        means = images.groupby(keys)["value"].mean()
        assert len(means)
        for key, mean in means.items():
            value = rows.set_index(keys).loc[[key], "value"].item()
            assert value == pytest.approx(mean, rel=1e-6)


def test_every_checkpoint_draws_from_the_same_noise(asked: Plan, whole: Store) -> None:
    """The base model's images and an adapter's carry the same seeds and prompts, image by image."""
    for job, base in zip(
        asked.jobs(asked.checkpoints[-1]), asked.jobs(BASE_CHECKPOINT), strict=True
    ):
        with Image.open(whole.image(job.image_set, job.k)) as image:
            about = json.loads(image.info["lycoris-bench"])
        assert (
            (about["seed"], about["prompt"])
            == (base.seed, base.prompt)
            == (1000 + job.k, job.prompt)
        )


def test_training_changes_what_is_drawn(asked: Plan, whole: Store) -> None:
    job, base = asked.jobs(asked.checkpoints[-1])[0], asked.jobs(BASE_CHECKPOINT)[0]
    pixels = [
        np.asarray(Image.open(whole.image(j.image_set, j.k)).copy(), float) for j in (job, base)
    ]
    assert np.abs(pixels[0] - pixels[1]).max() > 0


def test_a_merge_is_recorded_the_same_each_time(asked: Plan, whole: Store) -> None:
    """The proof that an adapter was applied: its layers, and how far each block moved."""
    checkpoint = asked.checkpoints[-1]
    kept = whole.applied(checkpoint).read_bytes()
    about = json.loads(kept)
    assert about["matched"] > 0 and not about["unmatched"]
    assert all(change > 0 for change in about["change"].values())
    assert len(about["change"]) == 5
    job = asked.jobs(checkpoint)[0]
    whole.image(job.image_set, job.k).unlink()
    assert STAGES["generate"](asked, whole, replace(HERE, also_scored=True)).done == 1
    assert whole.applied(checkpoint).read_bytes() == kept


def test_running_again_does_nothing(asked: Plan, whole: Store) -> None:
    before = {p: p.stat().st_mtime_ns for p in (whole.root / "images").rglob("*.png")}
    outcomes = run(asked, whole, ("train", "generate", "score"))
    assert [outcome.done for outcome in outcomes.values()] == [0, 0, 0]
    assert [outcome.skipped for outcome in outcomes.values()] == [4, 5, 6]
    assert before == {p: p.stat().st_mtime_ns for p in (whole.root / "images").rglob("*.png")}


def test_the_analysis_writes_all_its_files(whole: Store) -> None:
    for name in ("scores", "aggregate", "shap", "correlation"):
        assert whole.frame(whole.table(name)) is not None, name
    assert whole.read_json(whole.findings)["sentences"]
    page = without_scripts(whole.report.read_text(encoding="utf-8"))
    assert "lora" in page and "https://" not in page and "http://" not in page


@pytest.mark.study
@pytest.mark.parametrize("stage", ["train", "generate", "score"])
@pytest.mark.parametrize("fatal", [0, 3])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_killed_stage_goes_on_to_the_same_numbers(
    brief: Plan, finished: Store, tmp_path: Path, stage: str, fatal: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """SIGKILL inside a write, then again: the checkpoints, or the metric table, equal the
    uninterrupted run's."""
    monkeypatch.setattr(fine_tuning, "STATE_SECONDS", 0.0)  # a training state after every step
    before = {"train": [], "generate": ["checkpoints"], "score": ["checkpoints", "images"]}
    for folder in before[stage]:
        shutil.copytree(finished.root / folder, tmp_path / folder)
    store = Store(tmp_path)
    store.describe(brief.study.toml(), {})  # as every command does before its stage
    end = killed(lambda: STAGES[stage](brief, Dying(tmp_path, fatal), HERE))
    assert end == signal.SIGKILL
    with store.lock():
        run(brief, store, ("train",) if stage == "train" else ("train", "generate", "score"))
    assert not list(tmp_path.rglob("*.part"))
    if stage == "train":
        for checkpoint in brief.trained:
            mine, theirs = (one.checkpoint(checkpoint).read_bytes() for one in (store, finished))
            assert mine == theirs
        return
    mine, theirs = store.frame(store.table("metrics")), finished.frame(finished.table("metrics"))
    assert mine is not None and theirs is not None
    pd.testing.assert_frame_equal(mine[0], theirs[0], check_exact=True)


@pytest.mark.study
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_killed_analysis_goes_on(brief: Plan, copied: Store) -> None:
    assert killed(lambda: STAGES["analyze"](brief, Dying(copied.root, 2), HERE)) == signal.SIGKILL
    assert not copied.report.exists()
    with copied.lock():
        run(brief, copied, ("analyze",))
    page = copied.report.read_bytes()
    shutil.rmtree(copied.report.parent)
    run(brief, copied, ("analyze",))
    assert copied.report.read_bytes() == page


def test_a_changed_study_makes_anew_only_what_it_touches(
    asked: Plan, whole: Store, quick_base: str
) -> None:
    more = plan(tiny(**STUDY, base_model=quick_base, algorithms={
        "lora": {"lr": 2e-3, "dim": 4, "alpha": 2}, "lokr": {"lr": 1e-3, "factor": 4},
    }))  # fmt: skip
    status, last = Status(more, whole), more.checkpoints[3]
    lacking = [str(c) for c in more.checkpoints[1:] if not status.is_trained(c)]
    assert lacking == ["lokr/seed-23/epoch-001", "lokr/seed-23/epoch-002"]
    assert not any(status.absent(checkpoint) for checkpoint in more.checkpoints[:2])
    assert len(status.absent(last)) == len(more.jobs(last)) == status.lacking(last)
    other = {**STUDY, "sampling": {"steps": 1, "guidance": 2.0}}
    guided = plan(tiny(**other, base_model=quick_base))
    status = Status(guided, whole)
    assert all(status.is_trained(c) for c in guided.checkpoints[1:])
    assert len(status.absent(BASE_CHECKPOINT)) == len(guided.jobs(BASE_CHECKPOINT))
