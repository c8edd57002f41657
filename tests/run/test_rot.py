"""What loses its content, though its size and time stay, is noticed, named and made anew."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench import open_run, run_stage
from lycoris_bench.analysis import run_tables
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.sampling import precision
from tests.run.test_damage import ROWS, cut, flip
from tests.support.world import HERE, STAGES, tiny

pytestmark = pytest.mark.usefixtures("undrawn")


def rot(path: Path) -> None:
    """As a disk flips a bit: size and time of the file are as they were."""
    time = path.stat().st_mtime_ns
    flip(path)
    os.utime(path, ns=(time, time))


@pytest.mark.parametrize("damage", [rot, Path.unlink], ids=["rot", "unlink"])
@pytest.mark.parametrize(
    ("file", "rows"),
    [
        (ROWS, True), (ROWS.replace(".parquet", "-images.parquet"), True),
        (ROWS.replace(".parquet", ".json"), True), ("metrics.parquet", False),
        ("metrics.csv", False), ("metrics/manifest.json", False),
    ],
)  # fmt: skip
def test_a_table_that_lost_its_content_is_made_anew_byte_by_byte(
    brief: Plan, copied: Store, file: str, rows: bool, damage: Callable[[Path], None]
) -> None:
    path = copied.root / file
    before = path.read_bytes()
    damage(path)
    named = Status(brief, copied).damaged_rows()
    assert named == ([path] if rows and "manifest" not in file else [])
    assert STAGES["score"](brief, copied, HERE).done == rows
    assert path.read_bytes() == before
    assert Status(brief, copied).damaged_rows() == []


def test_what_is_scored_anew_for_its_damage_is_named(copied: Store, brief: Plan) -> None:
    copied.describe(brief.study.toml(), {})
    rot(copied.root / ROWS)
    outcome = run_stage("score", brief.study, copied.root, device="cpu")
    assert outcome.done == 1
    assert outcome.warnings["damage"].endswith(f"their rows are made anew: {ROWS}")
    assert "damage" not in run_stage("score", brief.study, copied.root, device="cpu").warnings


def test_damage_beside_rows_is_named_where_it_is_read(copied: Store, brief: Plan) -> None:
    copied.describe(brief.study.toml(), {}, scored_rows.identities(brief))
    views = pd.DataFrame({"metric": ["image_similarity"]})
    assert len(open_run(copied.root).parts(views))
    rot(copied.root / ROWS.replace(".parquet", ".json"))
    assert "epoch-001.json is damaged" in run_tables.analyze_folder(copied).warnings["rows"]
    rot(copied.root / ROWS.replace(".parquet", "-images.parquet"))
    with pytest.raises(StoreError, match=r"epoch-001-images.parquet is damaged"):
        open_run(copied.root).parts(views)
    copied.write(copied.identities, "[{")
    with pytest.raises(StoreError, match=r"identities.json is damaged"):
        run_tables.analyze_folder(copied)


@pytest.mark.parametrize("damage", [Path.unlink, cut, lambda path: path.write_text("[other]")])
def test_a_run_goes_on_without_its_study_file(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """Its name, and the precision that its images are drawn in, are in the records of commands."""
    asked = tiny(sampling={"precision": "auto"})
    drawn = asked.with_sampling(precision="fp16")
    store = Store(tmp_path)
    about = {"study": asked.name, "precision": "fp16", "time": "2"}
    store.describe(drawn.toml(), about)
    store.add_provenance({"study": "older", "precision": "bf16", "time": "1"})
    damage(store.study)
    store.belongs_to(asked.name)
    assert precision.settled(asked, store, "cpu").settings.sampling.precision == "fp16"
    with pytest.raises(StoreError, match="choose another"):
        store.belongs_to("older")
