"""What is shipped under results/: the miniature study in the paper's form, cell by cell."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.run_tables import analyze_folder
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import load
from lycoris_bench.study.records import MetricRow

ROOT = Path(__file__).parents[1]
RUN = ROOT / "results/miniature"
CELL = ["category", "class", "subclass", "prompt_type", "metric", "encoder", "resize"]
SETS = 39 * 5 - 6  # (sub-)classes by prompt types; the 6 styles are not asked for in other styles


@pytest.fixture(scope="module")
def images() -> dict[str, Path]:
    """Checkpoint -> the table of the numbers of its images."""
    end = "-images"
    return {
        str(path.relative_to(RUN / "metrics").with_suffix("")).removesuffix(end): path
        for path in sorted(RUN.glob(f"metrics/*/seed-*/epoch-*{end}.parquet"))
    }


@pytest.fixture(scope="module")
def rows() -> dict[str, pd.DataFrame]:
    """Checkpoint -> its rows."""
    keys = ["configuration", "seed", "epoch"]
    groups = pd.read_parquet(RUN / "metrics.parquet").groupby(keys, dropna=False, observed=True)
    return {
        "base" if name == "base" else f"{name}/seed-{seed}/epoch-{epoch:03d}": part
        for (name, seed, epoch), part in groups
    }


def test_its_study_is_the_configured_one_in_the_papers_form(images: dict[str, Path]) -> None:
    study = load(ROOT / "configs/miniature.toml")
    assert len(study.configurations) == 26 and len(study.checkpoints) == 1 + 26 * 3 * 3
    asked = {
        f"{c.configuration.name}/seed-{c.seed}/epoch-{c.epoch:03d}"
        for c in study.checkpoints
        if c.epoch is not None
    }
    assert set(images) == asked and len(images) == 234


@pytest.mark.study
def test_no_cell_is_missing_and_all_are_alike(
    images: dict[str, Path], rows: dict[str, pd.DataFrame]
) -> None:
    """Each checkpoint has a finite number in every cell, under one fingerprint, from as many
    images."""
    first = rows["base"].set_index(CELL)
    for name in images:
        table = rows[name]
        # "second" is younger than the first of them, and read as "" where it is missing
        assert {*MetricRow.columns()} - {*table.columns} <= {"second"}, name
        assert np.isfinite(table["value"]).all() and not table.duplicated(CELL).any(), name
        assert len(table.drop_duplicates(CELL[:4])) == SETS, name
        configuration, seed, epoch = name.split("/")
        assert set(table["configuration"]) == {configuration}
        assert {f"seed-{n}" for n in table["seed"]} == {seed}
        assert {f"epoch-{n:03d}" for n in table["epoch"]} == {epoch}
        own = table.set_index(CELL).reindex(first.index)
        assert len(own) == len(table), name
        for column in ("fingerprint", "protocol", "n", "better"):
            assert (own[column] == first[column]).all(), (name, column)


@pytest.mark.study
def test_each_image_has_its_numbers_too(images: dict[str, Path]) -> None:
    for name, path in images.items():
        parts = pd.read_parquet(path)
        assert parts["value"].notna().all() and len(parts) > SETS * 8, name


def test_the_numbers_of_the_sentences_are_those_of_the_tables() -> None:
    page = (ROOT / "docs/findings.md").read_text()
    tables = "".join(re.findall(r"(?s)<!-- \w+ -->(.*?)<!-- end -->", page))
    short = page.split("**In short**")[1].split("Every table")[0]
    said = (ROOT / "README.md").read_text().split("## What it found")[1].split("##")[0]
    numbers = re.findall(r"\b0\.\d\d\b", short + said)
    assert len(numbers) > 12 and all(f"+{number}" in tables for number in numbers)
    assert "| checkpoints | 234 |" in tables and "(234 checkpoints)" in said


def test_the_counts_of_claims_are_those_of_the_table() -> None:
    page = (ROOT / "docs/findings.md").read_text()
    lines = re.findall(r"(?m)^\|.*", page.partition("<!-- claims -->")[2])[2:]
    cells = [[cell.split(";")[0].strip() for cell in line.split("|")[2:4]] for line in lines]
    tested = [pair for pair in cells if pair != ["–", "–"]]
    counts = [sum(pair[k] == "holds" for pair in tested) for k in (0, 1)]
    both = sum(pair == ["holds", "holds"] for pair in tested)
    neither = sum(pair == ["does not", "does not"] for pair in tested)
    assert not any({*pair} == {"holds", "does not"} for pair in tested)
    held = f"{counts[0]} hold by the metrics and {counts[1]} in truth, {both} "
    short = page.split("**In short**")[1]
    said = (ROOT / "README.md").read_text().replace("\n", " ")
    assert f"{len(tested)} claims of the paper that can be tested here, {held}of them by" in short
    assert f"Of {len(tested)} claims of the paper {held}by both" in said
    assert neither == 3 and "Three do not hold by both" in short


def test_the_numbers_of_the_rule_of_thumb_are_those_of_its_table() -> None:
    section = (ROOT / "docs/findings.md").read_text().partition("## How many images")[2]
    said, _, tables = section.partition("## ")[0].partition("<!-- halves -->")
    steps = re.compile(r"take at most 0.01 off")  # between rows of it
    numbers = re.findall(r"\b0\.\d\d\b", steps.sub("", said))
    assert len(numbers) > 12 and all(f" {number}" in tables for number in numbers)
    shares = [row.split("|")[4:6] for row in tables.splitlines() if row.endswith("% |")]
    apart = [abs(int(foretold.strip(" %")) - int(found.strip(" %"))) for foretold, found in shares]
    assert len(apart) == 4 and max(apart) <= 1  # "within a point"


def test_a_run_on_its_way_says_how_it_is_analyzed(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    shutil.copyfile(RUN / "study.toml", tmp_path / "study.toml")
    shutil.copyfile(RUN / "metrics/base-images.parquet", tmp_path / "metrics/base.parquet")
    typed = f"analyze {tmp_path / 'study.toml'} --run {tmp_path}"
    with pytest.raises(StoreError, match=f"rows of checkpoints; .*: lycoris-bench {typed}$"):
        analyze_folder(Store(tmp_path))


def test_where_it_was_made_names_no_place() -> None:
    for record in RUN.glob("provenance/*.json"):
        said = json.loads(record.read_text())
        assert not any(word.startswith("/") for word in said["command"])
