"""Puts an adapter file into a diffusers pipeline, draws with it, and takes it off again."""

from importlib.resources import files

import torch
from diffusers import StableDiffusionPipeline

import lycoris_bench as lb

base = files("lycoris_bench") / "miniature/weights/base"  # or "owner/name" on the hub
pipeline = StableDiffusionPipeline.from_pretrained(str(base), safety_checker=None)
pipeline.to(torch.float32)
pipeline.set_progress_bar_config(disable=True)


def draw(name: str) -> None:
    """The same prompt and noise every time."""
    noise = torch.Generator().manual_seed(7)
    image = pipeline("a red bunny", num_inference_steps=4, width=32, height=32, generator=noise)
    image.images[0].save(f"{name}.png")


# An adapter to try it with; yours is a file of kohya's trainer, LyCORIS, diffusers, PEFT, ...
network = lb.attach(pipeline.unet, pipeline.text_encoder, "attn-mlp", "lokr", {"factor": 4}, seed=1)
for parameter in network.parameters():
    parameter.data += 0.05 * torch.randn_like(parameter)
network.save("some.safetensors")
network.detach()

draw("before")
with lb.apply_adapter(pipeline, "some.safetensors", strength=0.8) as applied:
    report = applied.report
    print(f"{report.matched} layers of {', '.join(report.algorithms)} are applied")
    print(f"left out: {', '.join(report.unmatched) or 'nothing'}")
    for block, share in report.change.items():
        print(f"  {block:<25} moved by {share:.1%} of its length")
    draw("with")
draw("after")  # the pipeline is as before, bit by bit
