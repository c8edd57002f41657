"""One file per algorithm. base.py is what training needs of it, knowledge.py what is known of its
tensors in files, this program's and others'.

The key in a study is the module's name: `ALGORITHMS.get("lora")` finds `lora.LoRA`."""

from lycoris_bench.registry import Registry

ALGORITHMS = Registry("adapter", __name__, group="adapters")
