"""One file per metric: a pure function of arrays, with its direction and kind of encoder (base.py).

The key in a study is the module's name: `METRICS.get("vendi")` finds `vendi.vendi`."""

from lycoris_bench.registry import Registry

METRICS = Registry("metric", __name__, group="metrics", separator="_")
