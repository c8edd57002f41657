"""Adapters: changes of a model's weights, trained, stored and merged.

`attach.attach` trains one, `merge.Merger` writes a file of one into a model, and `merged_weight`
is what both agree with. Each algorithm is one file of `algorithms`."""

from lycoris_bench.adapters.delta import merged_bias, merged_weight

__all__ = ["merged_bias", "merged_weight"]
