"""Compares what two adapter files change in one model, whatever their algorithms."""

from collections import defaultdict
from importlib.resources import files

import torch
from diffusers import UNet2DConditionModel

import lycoris_bench as lb

base = files("lycoris_bench") / "miniature/weights/base"
unet = UNet2DConditionModel.from_pretrained(str(base), subfolder="unet")

# Two adapters to try it with: a LoRA, and the same after a little more training.
network = lb.attach(unet, None, "attn-mlp", "lora", {"dim": 4}, seed=1)
for size, name in ((0.1, "one.safetensors"), (0.02, "other.safetensors")):
    for parameter in network.parameters():
        parameter.data += size * torch.randn_like(parameter)
    network.save(name)
network.detach()


def changes(file: str) -> dict[str, torch.Tensor]:
    """Weight -> what the adapter adds to it, in the algorithm's own arithmetic."""
    before = {name: weight.detach().clone() for name, weight in unet.named_parameters()}
    with lb.apply_adapter(unet, file):
        return {name: weight.detach() - before[name] for name, weight in unet.named_parameters()}


one, other = changes("one.safetensors"), changes("other.safetensors")
products: dict[str, list[torch.Tensor]] = defaultdict(list)
for name in one:
    a, b = one[name].flatten(), other[name].flatten()
    products[name.split(".")[0]].append(torch.stack([a @ a, a @ b, b @ b]))
print(f"{'block':<16}{'|one|':>9}{'|other|':>9}{'cosine':>9}")
for block, parts in products.items():
    aa, ab, bb = torch.stack(parts).sum(0)
    if aa > 0 and bb > 0:
        print(f"{block:<16}{aa.sqrt():>9.3f}{bb.sqrt():>9.3f}{ab / (aa * bb).sqrt():>9.3f}")
