"""Tables with their own checksum: what is read is what was written, or nothing."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lycoris_bench.files import parquet

FRAME = pd.DataFrame({
    "name": ["dog", "dög 🐕", None, "dog", ""],
    "seed": pd.array([23, None, 25, 23, 0], dtype="Int64"),
    "n": [1, 2, 3, 4, 5],
    "value": [0.1, -0.0, float("nan"), 1e-300, 5.0],
    "sure": [True, False, True, True, False],
})  # fmt: skip


def of_first_versions(frame: pd.DataFrame) -> bytes:
    """The file with the checksum that versions up to 0.2 wrote: of the values as JSON."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    about = {**table.schema.metadata, b"uid": b"made of this"}
    digest = hashlib.sha256(repr(sorted(about.items())).encode())
    for field, column in zip(table.schema, table.columns, strict=True):
        digest.update(f"{field.name} {field.type} ".encode())
        digest.update(json.dumps(column.to_pylist(), default=repr).encode())
    about[b"lycoris-bench.checksum"] = digest.hexdigest().encode()
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(about), buffer, write_page_checksum=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "write", [lambda f: parquet.to_bytes(f, "made of this"), of_first_versions]
)
def test_what_is_read_is_what_was_written_or_nothing(write, tmp_path: Path) -> None:
    file, data = tmp_path / "a.parquet", write(FRAME)
    file.write_bytes(data)
    found = parquet.read(file)
    assert found is not None and found[1] == "made of this"
    pd.testing.assert_frame_equal(found[0], FRAME)
    random = np.random.default_rng(0)
    for place in random.choice(len(data), 400, replace=False):
        damaged = bytearray(data)
        damaged[place] ^= 1 << random.integers(8)
        file.write_bytes(damaged)
        if (told := parquet.read(file)) is not None:  # a bit that says nothing, such as padding
            pd.testing.assert_frame_equal(told[0], FRAME)
            assert told[1] == "made of this"


@pytest.mark.parametrize(
    ("column", "value"),
    [("name", "cat"), ("name", None), ("seed", None), ("n", 7), ("value", 0.0), ("sure", False)],
)
def test_a_checksum_is_of_every_value(column: str, value: object) -> None:
    changed = FRAME.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[1 if column == "value" else 0, column] = value
    changed[column] = changed[column].astype(FRAME[column].dtype)
    tables = [pa.Table.from_pandas(frame, preserve_index=False) for frame in (FRAME, changed)]
    one, other = (parquet._checksum(table, {}) for table in tables)
    assert one != other


def test_a_checksum_does_not_depend_on_how_rows_lie_in_the_file() -> None:
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert parquet._checksum(pieces, {}) == parquet._checksum(table, {})


def test_codes_are_texts_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "PIECE", 2)
    frame = FRAME.assign(name=pd.Categorical(FRAME["name"], ["", "dög 🐕", "none has this", "dog"]))
    (tmp_path / "a.parquet").write_bytes(parquet.to_bytes(frame, "made of this"))
    found = parquet.read(tmp_path / "a.parquet")
    assert found is not None
    pd.testing.assert_frame_equal(found[0], FRAME)
    both = [pa.Table.from_pandas(rows, preserve_index=False) for rows in (FRAME, frame)]
    assert parquet._checksum(both[0], {}) == parquet._checksum(both[1], {})


def test_a_table_without_rows_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet.to_bytes(FRAME[:0], "made of this"))
    found = parquet.read(tmp_path / "a.parquet")
    assert found is not None and list(found[0]) == list(FRAME) and found[0].empty


def test_rows_that_change_places_are_noticed() -> None:
    table = pa.Table.from_pandas(FRAME[["name"]], preserve_index=False)
    turned = pa.Table.from_pandas(FRAME[["name"]].iloc[::-1], preserve_index=False)
    assert parquet._checksum(table, {}) != parquet._checksum(turned, {})


def test_the_table_of_somebody_else_is_taken_as_it_is(tmp_path: Path) -> None:
    FRAME[["name", "n"]].to_parquet(tmp_path / "a.parquet")
    found = parquet.read(tmp_path / "a.parquet")
    assert found is not None and found[1] == ""
    pd.testing.assert_frame_equal(found[0], FRAME[["name", "n"]])
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    assert parquet.read(tmp_path / "a.parquet") is None
