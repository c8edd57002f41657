"""Two concepts in a prompt, and concepts taught alone, through the whole line."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.columns import check
from lycoris_bench.analysis.several_concepts.differences import APART, DIFFERENCES
from lycoris_bench.analysis.several_concepts.pairs import SHARES, pairs
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import BASE_CHECKPOINT, MetricRow
from tests.support.world import run, tiny

pytestmark = [pytest.mark.study, pytest.mark.usefixtures("unprinted")]
Done = tuple[Plan, Store, dict[str, Any]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    alone = [{"name": name, "concepts": [f"toys/{name}"]} for name in ("bunny", "lobster")]
    study = tiny(
        epochs=[1], seeds=[23, 24],
        algorithms={"lora": {"lr": 2e-3, "dim": 2, "vary": alone}},
        sampling={"steps": 1, "prompt_types": ["trigger", "compose"]},
        scoring={
            "encoders": ["miniature-image", "miniature-image-text"],
            "metrics": ["default", "concept_shown", "second_shown", "both_shown"],
        },
        combine={"sum": {"adapters": ["bunny", "lobster"]}},
    )  # fmt: skip
    asked, store = plan(study), Store(tmp_path_factory.mktemp("several") / "run")
    return asked, store, run(asked, store)


def rows_of(store: Store) -> pd.DataFrame:
    found = store.frame(store.table("metrics"))
    assert found is not None
    table: pd.DataFrame = found[0]
    return table


def test_nothing_is_missing_and_a_second_run_does_nothing(done: Done) -> None:
    asked, store, outcomes = done
    assert all(not outcome.failed for outcome in outcomes.values())
    again = run(plan(asked.study), store, ("train", "generate", "score"))
    assert [outcome.done for outcome in again.values()] == [0, 0, 0]
    assert [outcome.failed for outcome in again.values()] == [{}, {}, {}]


def test_rows_name_the_second_concept(done: Done) -> None:
    asked, store, _ = done
    rows = rows_of(store)
    assert list(rows.columns) == MetricRow.columns()
    composed = rows[rows["prompt_type"] == "compose"]
    pairs = set(zip(composed["class"], composed["second"], strict=True))
    assert pairs == {("bunny", "toys/lobster"), ("lobster", "toys/bunny")}
    assert set(rows[rows["prompt_type"] != "compose"]["second"]) == {""}
    assert set(composed["configuration"]) == {"base", "lora", "sum"}
    found = {"image_similarity", "second_similarity", "first_found", "second_found", "both_found",
             "text_similarity", "concept_shown", "second_shown", "both_shown"}  # fmt: skip
    assert found <= set(composed["metric"])
    assert not {"second_similarity", "both_shown"} & set(rows[rows["second"] == ""]["metric"])
    second = next(p for p in asked.prompt_sets if p.second)
    folder = store.image_folder(second.images(BASE_CHECKPOINT)).relative_to(store.root)
    assert str(folder) == "images/base/toys/bunny/compose/toys/lobster"
    assert "second" in store.table("metrics").with_suffix(".csv").read_text().splitlines()[0]


def test_each_similarity_is_to_its_own_concept(done: Done) -> None:
    """What one order of a pair has to the first, the other has to the second, of the same image:
    here of the base model's, whose prompts name both by words that it does not know."""
    rows = rows_of(done[1])
    seen = rows[(rows["configuration"] == "base") & (rows["encoder"] == "miniature-image")]
    marks = seen[seen["second"] != ""].set_index(["metric", "class"])["fingerprint"]
    assert marks["image_similarity", "bunny"] != marks["second_similarity", "bunny"]
    assert seen["value"].between(-1, 1)[seen["metric"] == "second_similarity"].all()


def test_what_was_taught_one_concept_is_asked_for_no_other(done: Done) -> None:
    asked, store, _ = done
    rows = rows_of(store)
    for name in ("bunny", "lobster"):
        own = rows[rows["configuration"] == name]
        assert set(own["class"]) == {name} and set(own["prompt_type"]) == {"trigger"}
        assert set(own["fingerprint"]) <= set(rows[rows["configuration"] == "lora"]["fingerprint"])
    status = Status(asked, store)
    assert all(status.lacking(checkpoint) == 0 for checkpoint in asked.checkpoints)
    findings = store.read_json(store.findings)
    ranked = findings["categories"]["toys"]["fidelity"]["ranking"]
    assert {row["configuration"] for row in ranked} == {"lora", "sum"}
    assert not any(re.search("bunny|lobster", said) for said in findings["sentences"])
    assert "absent" not in findings


def test_interference_and_merging_are_differences_of_rows(done: Done) -> None:
    """Each number against the mean of differences of the rows, by hand."""
    _, store, _ = done
    rows = rows_of(store)
    keys = ["metric", "encoder", "resize", "prompt_type", "seed", "class"]
    of = {
        name: part.set_index(keys)["value"].sort_index()
        for name, part in rows.groupby("configuration")
    }
    apart = pd.concat([of["bunny"], of["lobster"]]).sort_index()
    stored = [store.frame(store.table(name)) for name in DIFFERENCES]
    tables = [found[0] for found in stored if found]
    sides = (of["lora"], apart, APART), (of["sum"], of["lora"], "lora")
    for table, (one, other, against) in zip(tables, sides, strict=True):
        assert set(table["against"]) == {against} and len(table) > 4
        whole = table[table["concept"] == "all categories"]
        for row in whole.itertuples():
            view = row.metric, row.encoder, row.resize, row.prompt_type
            difference = (one.loc[view] - other.loc[view]).dropna()
            assert len(difference) == row.seeds * row.classes == 4
            assert row.difference == pytest.approx(difference.mean(), abs=1e-9)
            assert not row.low > row.difference and not row.difference > row.high
    judged = tables[0][tables[0]["verdict"] != ""]
    assert set(judged["metric"]) == {"image_similarity", "vendi"}
    assert set(tables[1][tables[1]["verdict"] != ""]["metric"]) >= {
        "image_similarity",
        "both_found",
    }


def test_the_report_shows_it(done: Done) -> None:
    page = done[1].report.read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "Interference: lora, taught all concepts together, less each concept alone" in text
    assert "Merging: sum, merged of concepts taught apart, less lora, taught together" in text
    assert "which of them is missing" in text and "in truth" in text
    assert 'id="failures"' not in text


def test_tables_of_older_versions_stay_valid(done: Done) -> None:
    """They have no column of second concepts, as no prompt named any."""
    asked, store, _ = done
    bunny = next(c for c in asked.checkpoints if c.configuration.name == "bunny")
    path = store.metrics(store.branch(bunny))
    found = store.frame(path)
    assert found is not None
    content = path.read_bytes()
    try:
        store.put_frame(path, found[0].drop(columns="second"), found[1])
        read = scored_rows.rows(asked, store, bunny)
        assert read is not None
        pd.testing.assert_frame_equal(read, found[0])
    finally:
        path.write_bytes(content)


def test_shares_of_who_is_shown_are_of_one(done: Done) -> None:
    table = pairs(check(rows_of(done[1])))
    assert set(table["configuration"]) == {"base", "lora", "sum"}
    np.testing.assert_allclose(table[SHARES].sum(axis=1), 1)
    assert (table[SHARES] >= -1e-9).all(axis=None)
