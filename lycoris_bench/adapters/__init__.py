"""Adapters: changes ΔW of a model's weights, trained, stored in files and merged.

`attach.attach` puts trainable adapters on a model, `merge.Merger` writes an adapter file into its
weights, `apply.apply_adapter` does so reversibly, and `delta.merged_weight` defines the weight
that all of them compute. `algorithms` has one file per algorithm, `presets` chooses layers,
`formats` reads and writes files."""

from lycoris_bench.adapters.delta import merged_bias, merged_weight

__all__ = ["merged_bias", "merged_weight"]
