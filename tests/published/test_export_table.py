"""The paper's columns, written: read back they are what they were."""

import csv
import io
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.analysis.stored_run import open_run
from lycoris_bench.published import renames
from lycoris_bench.published.column_title import View, column_title
from lycoris_bench.published.experiments import experiments
from lycoris_bench.published.export_table import paper_table
from lycoris_bench.published.export_words import folder_of, title_of
from lycoris_bench.published.folder_key import FolderKey, folder_key
from lycoris_bench.published.import_published import import_published
from lycoris_bench.published.tables import read, rows
from lycoris_bench.study.records import MetricRow
from tests.published.conftest import DRAWN, LOHA, LORA, write_table

ROW = [name for name in MetricRow.columns() if name not in ("study", "algorithm")]


@pytest.mark.parametrize("metric", renames.METRICS.values())
def test_titles_are_the_inverse_of_their_reader(metric: str) -> None:
    eyes, resizings = renames.ENCODERS.values(), ("letterbox", "crop", "stretch", "")
    for eye, resize, kind in product(eyes, resizings, renames.PROMPT_TYPES.values()):
        if metric == "frechet_distance" and kind != "train":
            continue
        scaled = eye in renames.SCALED and resize == "stretch"
        view = View(metric, eye, "scale" if scaled else resize, kind)
        assert column_title(title_of(view)) == view


@pytest.mark.parametrize("strength", [1.0, 0.7])
@pytest.mark.parametrize("experiment", [LORA, None])
@pytest.mark.parametrize(
    "place", [("", "", ""), ("styles", "dots", ""), ("movie characters", "a b", "c, d")]
)
def test_folders_are_the_inverse_of_their_reader(
    strength: float, experiment: str | None, place: tuple[str, str, str]
) -> None:
    for seed, epoch in [(23, 50), (25, 10)] if experiment else [(None, None)]:
        key = FolderKey(DRAWN, experiment, seed, epoch, strength, *place)
        assert folder_key(folder_of(key)) == key


TITLES = [
    "Image Similarity (dinov2-l-fb-padding) (in)",
    "Text Similarity (out)",
    "Vendi (dinov2-l-fb) (trigger)",
    "Style Loss (base model)",
    "FD (clip-L-14-resize)",
]


def again(folder: Path, place: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a run, and those that its table has when it is read again."""
    table, run = paper_table(folder), open_run(folder)
    assert table.note is None
    place.mkdir()
    (place / "metrics.csv").write_text(table.metrics)
    (place / "config_mapping.csv").write_text(table.mapping)
    known = experiments(place / "config_mapping.csv", run.study)
    found, left_out = rows(place / "metrics.csv", run.study, known, lambda _: True)
    assert not left_out

    def arranged(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame[ROW].astype({"seed": "Int64", "epoch": "Int64"})
        return frame.sort_values(ROW, ignore_index=True)

    return arranged(run.table()), arranged(found)


def test_a_table_is_read_back_number_by_number(clone: Path, tmp_path: Path) -> None:
    written: dict[str, list[object]] = {
        f"{DRAWN}-{LORA}-a/scene/lake": [0.1, 0.2 + 1e-17, 3.3333333333333335, 12.5, ""],
        f"{DRAWN}-{LORA}-b-000010/people/Saw_Gerrera/bald, 3d": [-0.5, "", 1.0, 7e-5, ""],
        f"{DRAWN}-{LOHA}-c/scene/lake": [0.4, 0.5, 6.0, 1e5, ""],
        f"{DRAWN}/scene/lake": [0.0, 0.1, 2.0, "", ""],
        f"{DRAWN}-{LOHA}-c": ["", "", "", "", 401.25],
    }
    write_table(clone / "deep/metrics/ddim_sd15_metrics.csv", written, TITLES)
    import_published(clone, tmp_path / "out")
    before, after = again(tmp_path / "out/main", tmp_path / "again")
    assert len(before) == sum(v != "" for cells in written.values() for v in cells)
    pd.testing.assert_frame_equal(before, after, check_exact=True)


@pytest.mark.study
@pytest.mark.parametrize("name", ["main-classes", "main-distances"])
def test_the_authors_own_tables_are_read_back(imported: Path, tmp_path: Path, name: str) -> None:
    before, after = again(imported / name, tmp_path / "again")
    assert len(before) > 1000
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_what_they_have_no_word_for_is_said(small_run: Path) -> None:
    table = paper_table(small_run)
    titles = next(csv.reader(io.StringIO(table.metrics)))
    assert titles[0] == "Folder" and "Vendi (miniature-image-padding) (in)" in titles
    assert table.note and table.note.startswith("the authors have no word for '")
    assert "'import-published' does not read" in table.note
    # every number of a checkpoint and of base is there, under the name of an experiment
    numbers = sum(cell != "" for line in csv.reader(io.StringIO(table.metrics)) for cell in line)
    whole = open_run(small_run).table()
    folders = table.metrics.count("\n") - 1
    drawn = whole[whole["configuration"] != "real"]
    assert numbers - len(titles) - folders == len(drawn)
    assert "base-exp-1001-lora-a-000001/" in table.metrics
    with pytest.raises(renames.PublishedError, match="unknown encoder"):
        path = small_run.parent / "table.csv"
        path.write_text(table.metrics)
        read(path)
