"""Rows of single checkpoints that the table of all rows holds alone."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

import lycoris_bench as lb
from lycoris_bench.planning import packed_rows, scored_rows
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.stages.score import assemble
from lycoris_bench.study.load import load
from lycoris_bench.study.records import REAL_IMAGES


def tables_in(run: Path) -> list[Path]:
    found = (run / "metrics").rglob("*.parquet")
    return sorted(p.relative_to(run) for p in found if not p.stem.endswith("-images"))


@pytest.fixture
def packed(small_study: Path, small_run: Path, tmp_path: Path) -> Path:
    """The run with its rows in one table, and neither weights, images nor features."""
    run = tmp_path / "packed"
    shutil.copytree(small_run, run)
    study = load(small_study)
    packed_rows.pack(Store(small_run), [*study.checkpoints, REAL_IMAGES], run / "metrics.parquet")
    for table in tables_in(run):
        (run / table).unlink()
    for folder in ("checkpoints", "images"):
        shutil.rmtree(run / folder)
    (run / "metrics/manifest.json").unlink()
    return run


def test_each_is_what_its_own_file_was(small_study: Path, small_run: Path, packed: Path) -> None:
    asked, whole, store = plan(load(small_study)), Store(small_run), Store(packed)
    for source in scored_rows.sources(asked):
        own, made_from = whole.frame(whole.metrics(whole.branch(source)))
        found = packed_rows.rows(store, source)
        assert found is not None and found[1] == made_from
        pd.testing.assert_frame_equal(found[0], own, check_exact=True, check_dtype=False)
        assert scored_rows.rows(asked, store, source) is not None
    assert packed_rows.rows(whole, REAL_IMAGES) is None, "a run's own table packs nothing"


def test_nothing_is_left_to_do_and_each_gets_its_file(
    small_study: Path, small_run: Path, packed: Path
) -> None:
    outcome = lb.run_stage("score", lb.load_study(small_study), packed, device="cpu")
    assert (outcome.done, outcome.failed, outcome.skipped) == (0, {}, 3)
    assert tables_in(packed) == tables_in(small_run)
    table = "metrics.parquet"
    assert (packed / table).read_bytes() == (small_run / table).read_bytes()


def test_other_settings_lose_nothing(small_study: Path, packed: Path, tmp_path: Path) -> None:
    """Rows of a study that no longer asks for them are not reported, and get their files too."""
    text = small_study.read_text().replace("dim = 2", "dim = 4")
    other = tmp_path / "other.toml"
    other.write_text(text)
    asked, store = plan(load(other)), Store(packed)
    assemble(asked, store)
    lora = Path("metrics/lora/seed-23/epoch-001.parquet")
    assert lora in tables_in(packed)
    kept, _ = store.frame(store.table("metrics"))
    assert "lora" not in set(kept["configuration"]) and "base" in set(kept["configuration"])


def test_a_damaged_table_packs_nothing(small_study: Path, packed: Path) -> None:
    path = packed / "metrics.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    assert packed_rows.rows(Store(packed), REAL_IMAGES) is None
    outcome = lb.run_stage("score", lb.load_study(small_study), packed, device="cpu")
    assert outcome.failed
