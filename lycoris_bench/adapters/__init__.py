"""One algorithm a file: a change of weights, its options and its tensors in files (base.py).

The key in a study is the module's name: `registry.get("adapters", "lora")` finds `lora.LoRA`.
`network.attach` trains one, `merge.Merger` writes a file of one into a model.
"""
