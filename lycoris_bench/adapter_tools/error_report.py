"""The relative error of an approximation, by layer, by block and in total."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lycoris_bench.adapters.formats.layer_names import block_of


@dataclass(frozen=True)
class Row:
    """One layer: |error| (`missed`), |change| (`norm`), and the rank where it has one."""

    layer: str
    missed: float
    norm: float
    rank: int | None = None

    @property
    def error(self) -> float:
        """The relative error, |error| / |change|."""
        return self.missed / self.norm if self.norm else float("inf" if self.missed else 0)


def total(rows: Iterable[Row]) -> float:
    """The relative error of all layers as one vector."""
    rows = list(rows)
    return Row("", math.hypot(*(r.missed for r in rows)), math.hypot(*(r.norm for r in rows))).error


def report(
    rows: Sequence[Row], layers: bool = False, left_out: Sequence[str] = ()
) -> tuple[dict[str, Any], str]:
    """(data, table) of an approximation, with a line per block, or with `layers` per layer. Layers
    in `left_out` have no row; the text then says that the error is that of the others."""
    blocks: dict[str, list[Row]] = {}
    for row in rows:
        blocks.setdefault(row.layer if layers else block_of(row.layer), []).append(row)
    lines = [
        (name, len(group), _ranks(group), math.hypot(*(r.norm for r in group)), total(group))
        for name, group in blocks.items()
    ]
    data = {
        "layers": {row.layer: {"rank": row.rank, "norm": row.norm, "error": row.error}
                   for row in rows},
        "error": total(rows),
    }  # fmt: skip
    text = table(("layer" if layers else "block", "layers", "rank", "norm", "error"), lines)
    of = "what is written" if left_out else "all that is changed"
    return data, f"{text}\nrelative error of {of}, norms too: {total(rows):.3g}"


def _ranks(rows: Sequence[Row]) -> str:
    ranks = [row.rank for row in rows if row.rank is not None]
    if not ranks:
        return "-"
    return f"{min(ranks)}" if min(ranks) == max(ranks) else f"{min(ranks)}-{max(ranks)}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with columns as wide as their widest cell; numbers are aligned right, text left.

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
    """A number with four digits.

    >>> number(0.123456), number(7), number(None), number(1.0)
    ('0.1235', '7', '-', '1')
    """
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def size(count: int) -> str:
    """A size in MiB, or in bytes if it is small.

    >>> size(1_500_000), size(900)
    ('1.4 MiB', '900 bytes')
    """
    return f"{count / 2**20:,.1f} MiB" if count >= 2**18 else f"{count:,} bytes"
