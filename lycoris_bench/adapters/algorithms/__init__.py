"""One algorithm a file, with all that is known of it: base.py says how it is trained, knowledge.py
what its tensors are in files, its own and those of other programs.

The key in a study is the module's name: `ALGORITHMS.get("lora")` finds `lora.LoRA`."""

from lycoris_bench.registry import Registry

ALGORITHMS = Registry("adapter", __name__, mark="Options", group="adapters")
