"""Whether the rows of a metric table are of what the run folder says: by configuration, seed, epoch
and strength, never by a name that is put together and read again."""

import json
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.planning.scored_rows import KEY, of_other_settings
from lycoris_bench.run.store import Store

ROWS = [("base", None, None, 1.0), ("real", None, None, 1.0), ("lora", 23, 1, 1.0),
        ("lora", 23, 1, 0.5), ("a/b", None, None, 2.0)]  # fmt: skip
NAMES = {
    ROWS[0]: "base",
    ROWS[2]: "lora/seed-23/epoch-001",
    ROWS[3]: "lora/seed-23/epoch-001/strength-0.5",
    ROWS[4]: "a/b/strength-2",
}
FRAME = pd.DataFrame([row for row in ROWS for _ in range(2)], columns=list(KEY)).astype(
    {"seed": "Int64", "epoch": "Int64"}
)


def carried(**changed: str) -> list[dict[str, object]]:
    return [
        {**dict(zip(KEY, row, strict=True)), "identity": changed.get(name, "1")}
        for row, name in NAMES.items()
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.write_json(made.identities, carried())
    return made


def test_rows_of_the_same_are_the_runs(store: Store) -> None:
    assert of_other_settings(store, FRAME, json.dumps(carried())) == []


@pytest.mark.parametrize("name", NAMES.values())
def test_rows_of_others_are_named(store: Store, name: str) -> None:
    assert of_other_settings(store, FRAME, json.dumps(carried(**{name: "2"}))) == [name]
    others = FRAME[FRAME["configuration"] == "real"]
    assert of_other_settings(store, others, json.dumps(carried(**{name: "2"}))) == []


def test_what_the_run_does_not_know_is_of_others(store: Store) -> None:
    store.write_json(store.identities, carried()[:1])
    assert of_other_settings(store, FRAME, json.dumps(carried())) == list(NAMES.values())[1:]


def test_an_imported_table_and_an_older_run_are_as_they_are(store: Store) -> None:
    assert of_other_settings(store, FRAME, "") == []
    older = json.dumps({"lora/seed-23/epoch-001": "2"})
    assert len(of_other_settings(store, FRAME, older)) == len(NAMES)  # a command ran since
    store.write(store.identities, older)
    assert of_other_settings(store, FRAME, older) == []
