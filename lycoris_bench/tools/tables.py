"""Text tables for a terminal, and the numbers in them."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; numbers stand right, text left.

    >>> print(table(("block", "layers"), [("mid", 3)]))
    block  layers
    mid         3
    """
    cells = [[number(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    right = [bool(rows) and all(isinstance(r[i], int | float | None) for r in rows)
             for i in range(len(head))]  # fmt: skip
    lines = [
        "  ".join(
            c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
        )
        for row in [list(head), *cells]
    ]
    return "\n".join(line.rstrip() for line in lines)


def number(value: object) -> str:
    """Four digits are enough to compare by.

    >>> number(0.123456), number(7), number(None), number(1.0)
    ('0.1235', '7', '-', '1')
    """
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def size(count: int) -> str:
    """Bytes for a reader.

    >>> size(1_500_000), size(900)
    ('1.4 MiB', '900 bytes')
    """
    return f"{count / 2**20:,.1f} MiB" if count >= 2**18 else f"{count:,} bytes"
