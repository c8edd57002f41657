"""One algorithm a file: a change of weights, its options and its tensors in files (base.py).

The key in a study is the module's name: `registry.get("adapters", "lora")` finds `lora.LoRA`.
`network.attach` trains one, `merge.Merger` writes a file of one into a model, and `merged_weight`
is what both agree with.
"""

from lycoris_bench.adapters.delta import merged_bias, merged_weight

__all__ = ["merged_bias", "merged_weight"]
