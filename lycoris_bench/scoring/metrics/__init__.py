"""One file per metric: a pure function of arrays, with its direction and kind of encoder (base.py).

The key in a study is the module's name: `METRICS.get("vendi")` finds `vendi.vendi`."""

from collections.abc import Sequence
from typing import Any

from lycoris_bench.registry import Registry

METRICS = Registry("metric", __name__, group="metrics", separator="_")
DEFAULT = "default"
"""In a list of metrics: all but those that are only computed on request."""


def chosen(names: Sequence[str]) -> list[Any]:
    """The metrics of these names, of the registry or in the table, in the registry's order; none
    named: those of DEFAULT."""
    wanted = set(names or [DEFAULT])
    return [
        metric
        for name, metric in METRICS.entries().items()
        if {name, metric.called} & wanted or (DEFAULT in wanted and not metric.on_request)
    ]
