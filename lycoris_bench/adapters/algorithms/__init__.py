"""One algorithm a file, with all that is known of it (base.py says what that is).

The key in a study is the module's name: `ALGORITHMS.get("lora")` finds `lora.LoRA`."""

from lycoris_bench.registry import Registry

ALGORITHMS = Registry("adapter", __name__, mark="allowed", group="adapters")
