"""Which family of models an adapter or a model belongs to, from names and shapes."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.messages.errors import BenchError

CONTEXT = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
VERSIONS = {"Stable Diffusion 2": "sd_v2", "Stable Diffusion XL": "sdxl_base_v1-0",
            "Stable Diffusion 3": "sd3", "Flux": "flux1"}  # fmt: skip
STATED = {  # how `ss_base_model_version` and `modelspec.architecture` begin
    r"sdxl|sd_?xl|stable-diffusion-xl": "Stable Diffusion XL",
    r"sd_?v?1|stable-diffusion-v?1": "Stable Diffusion 1",
    r"sd_?v?2|stable-diffusion-v?2": "Stable Diffusion 2",
    r"sd_?v?3|stable-diffusion-v?3": "Stable Diffusion 3",
    r"flux[-_.]?1": "Flux",
}
CROSS = re.compile(r".*attn2[._]to_[kv]")  # reads the text, whose width is the family's own
FLUX = re.compile(r".*(single_transformer_blocks|single_blocks|double_blocks)[._]\d")
# of SD 3 and Flux, told by their width: a U-Net's transformer blocks have attn1 and attn2
ADDED = re.compile(r".*transformer_blocks[._]\d+[._]attn[._](to_[qkv]|add_[qkv]_proj)")
JOINT = {1536: "Stable Diffusion 3", 2432: "Stable Diffusion 3", 3072: "Flux"}
SD3 = re.compile(r".*(joint_blocks[._]\d|pos_embed[._]proj)")
SECOND = re.compile(r"(lora|lycoris)_te2_|(.*\.)?text_encoder_2[._]")  # SD3, told before, or SDXL
DEEP = re.compile(r".*transformer_blocks[._][1-9]")  # more than one in a row: SDXL


def family_of(layers: Mapping[str, int | None]) -> str:
    """The family of layers (name -> number of inputs, None where it is not known): "Flux",
    "Stable Diffusion 3", "Stable Diffusion XL", "2" or "1"; "" where it cannot be told."""
    if any(FLUX.match(name) for name in layers):
        return "Flux"
    added = {inputs for name, inputs in layers.items() if ADDED.match(name)}
    if told := [JOINT[width] for width in added if width in JOINT]:
        return told[0]
    joint = any(re.match(r".*joint_blocks[._]\d", name) for name in layers)
    if joint or (added and any(SD3.match(name) for name in layers)):
        return "Stable Diffusion 3"
    widths = {inputs for name, inputs in layers.items() if CROSS.match(name)}
    known = [CONTEXT[width] for width in widths if width in CONTEXT]
    if known:
        return known[0]
    if any(SECOND.match(name) for name in layers):
        return CONTEXT[2048]
    unet = [name for name in layers if re.search(r"unet|(down|up|input|output)_blocks", name)]
    return CONTEXT[2048] if any(DEEP.match(name) for name in unet) else ""


def stated(metadata: Mapping[str, str]) -> str:
    """The family that a file's metadata name, in the words of `family_of` or, of one that is not
    known here, in its own; "" where they name none."""
    for key in ("ss_base_model_version", "modelspec.architecture"):
        text = metadata.get(key, "").strip()
        if text and text.lower() not in ("none", "unknown"):
            return next((name for form, name in STATED.items() if re.match(form, text.lower())),
                        text.removesuffix("/lora"))  # fmt: skip
    return CONTEXT[1024] if metadata.get("ss_v2") == "True" else ""


def version_of(layers: Mapping[str, int | None]) -> str:
    """What `ss_base_model_version` calls the family of a model; Stable Diffusion 1 if unknown."""
    return VERSIONS.get(family_of(layers), "sd_v1")


def inputs_of(tensors: Mapping[str, Tensor]) -> int | None:
    """How many inputs a layer has, from its adapter's tensors; None where they do not tell."""
    known = recognise(tensors)
    try:
        return (known[1].sizes(tensors)[1] or None) if known else None
    except BenchError:  # damaged: said elsewhere
        return None


def foreign(adapter: str, model: str, names: Iterable[str]) -> str | None:
    """Why an adapter of one family does not belong to a model of another, with the layer that
    tells; None where they agree or are not known."""
    if not adapter or not model or adapter == model:
        return None
    names = list(names)
    marks = (FLUX, SD3, ADDED, CROSS, DEEP, SECOND)
    telling = [name for name in names if any(mark.match(name) for mark in marks)]
    return f"the adapter is for {adapter} and the model is {model}: it has {(telling or names)[0]}"
