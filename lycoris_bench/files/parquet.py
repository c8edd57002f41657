"""Tables as parquet that carry their own checksum, and the uid of what each was made from."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk

PIECE = 1 << 16  # rows at once, so that a large table is not there as texts
UID, CHECKSUM = b"uid", b"lycoris-bench.checksum.2"
FIRST = b"lycoris-bench.checksum"  # of versions up to 0.2


def to_bytes(frame: Any, uid: str = "") -> bytes:
    """The file of a data frame. Names that are codes in memory are texts in the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    about = {**(table.schema.metadata or {}), UID: uid.encode()}
    about[CHECKSUM] = _checksum(table, about)
    schema = pa.schema([field.with_type(_plain(field.type)) for field in table.schema], about)
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd", write_page_checksum=True) as writer:
        for start in range(0, max(1, len(table)), PIECE):
            writer.write_table(table.slice(start, PIECE).cast(schema))
    return buffer.getvalue()


def read(path: Path) -> tuple[Any, str] | None:
    """The data frame and its uid; None where it is missing, broken, or other than was written.

    A table without uid and checksum was written by somebody else, and is taken as it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = disk.read_bytes(path)
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        about = dict(table.schema.metadata or {})
        found, first = about.pop(CHECKSUM, None), about.pop(FIRST, None)
        uid = about.get(UID, b"").decode()
        ours = uid or FIRST in data  # also where the metadata can be read no more
        told = _checksum(table, about) if found or not first else _first_checksum(table, about)
        if ours and told != (found or first):
            return None
        return table.to_pandas(), uid
    except Exception:  # a damaged file may raise almost anything
        return None


def uid(path: Path) -> str:
    """The uid that a table says it has, without reading its rows; "" where it says none."""
    import pyarrow.parquet as pq

    try:
        return (pq.read_schema(path).metadata or {}).get(UID, b"").decode()
    except Exception:  # as in `read`
        return ""


def _checksum(table: Any, about: dict[bytes, bytes]) -> bytes:
    """SHA-256 of names, types, values and metadata: pages have checksums of their own, but the
    footer, which says what the pages mean, has none."""
    import pyarrow as pa

    digest = hashlib.sha256(repr(sorted(about.items())).encode())
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = _plain(field.type)
        digest.update(f"{field.name} {kind} {len(column)} [".encode(errors="surrogatepass"))
        if _is_text(kind):  # each is written once, in the order of the rows, and where it stands
            known, places = _places(column)
            digest.update(json.dumps(known).encode())
            digest.update(places.astype("<i4").tobytes())
        elif pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            digest.update(column.is_null().to_numpy().tobytes())
            values = column.fill_null(0).to_numpy()
            digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
        else:
            digest.update(json.dumps(column.to_pylist(), default=repr).encode())
        digest.update(b"]")
    return digest.hexdigest().encode()


def _places(column: Any) -> tuple[list[str | None], Any]:
    """The distinct texts of a column in the order of its rows, and which of them each row has."""
    import pandas as pd
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    coded = column.unify_dictionaries().combine_chunks()
    places, used = pd.factorize(coded.indices.fill_null(-1).to_numpy(), use_na_sentinel=False)
    texts = coded.dictionary.to_pylist()
    return [texts[place] if place >= 0 else None for place in used], places


def _plain(kind: Any) -> Any:
    """The type of what a column holds, not of how."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _first_checksum(table: Any, about: dict[bytes, bytes]) -> bytes:
    """The same, as the first versions wrote it: of all values as JSON."""
    digest = hashlib.sha256(repr(sorted(about.items())).encode())
    for field, column in zip(table.schema, table.columns, strict=True):
        digest.update(f"{field.name} {field.type} [".encode(errors="surrogatepass"))
        for start in range(0, len(column), PIECE):
            values = _json(column.slice(start, PIECE))
            digest.update(f"{', ' if start else ''}{values}".encode(errors="surrogatepass"))
        digest.update(b"]")
    return digest.hexdigest().encode()


def _json(column: Any) -> str:
    """The values as `json.dumps` writes those of a list, without its brackets. Of texts, which
    repeat, each is written once."""
    if not _is_text(column.type):
        return json.dumps(column.to_pylist(), default=repr)[1:-1]
    known = column.combine_chunks().dictionary_encode(null_encoding="encode")
    written = [json.dumps(value) for value in known.dictionary.to_pylist()]
    return ", ".join(map(written.__getitem__, known.indices.to_pylist()))
