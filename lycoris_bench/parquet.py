"""Tables as parquet with checksums, and the uid of what each was made from in its metadata."""

import io
from pathlib import Path
from typing import Any

from lycoris_bench import disk


def to_bytes(frame: Any, uid: str = "") -> bytes:
    """The file of a data frame."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"uid": uid})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def read(path: Path) -> tuple[Any, str] | None:
    """The data frame and its uid; None where it is missing, broken, or fails a checksum."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        disk.refuse_special(path)
        table = pq.read_table(path, page_checksum_verification=True)
        uid = (table.schema.metadata or {}).get(b"uid", b"").decode()
        return table.to_pandas(), uid
    except (OSError, ValueError, pa.ArrowException):
        return None
