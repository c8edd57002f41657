"""Layer names of a result: those of the file it is made from, or kohya's."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple

from torch import Tensor

from lycoris_bench.adapter_tools.layer import NeedsModel
from lycoris_bench.adapter_tools.source import Source
from lycoris_bench.adapter_tools.weights_on_disk import ModelFiles
from lycoris_bench.adapters.algorithms.lora import PLAIN
from lycoris_bench.adapters.algorithms.recognise import description
from lycoris_bench.adapters.formats.write import sides

Tensors = Mapping[str, Tensor]
LEAD = re.compile(  # what a name begins with, before the layer's path
    r"(?:lora|lycoris|oft)_(?:unet|transformer|te\d?)_|lycoris_|(?:\w+?_)?base_model_model_"
    r"|(?:model_)?diffusion_model_|(?:text_encoders_)?(?:clip_[lgh]|t5xxl)_(?:transformer_)?"
    r"|(?:unet|transformer|text_encoder(?:_\d)?)_(?!blocks_)"
)
TEXT = re.compile(r"(?:lora|lycoris|oft)_te|text_encoder|clip_|t5xxl")
WAYS = {  # what paths of one model begin with, by who named its layers
    "CompVis": re.compile(r"(?:input_blocks|output_blocks|middle_block)_"),
    "Black Forest Labs or Stability": re.compile(r"(?:double|single|joint)_blocks_\d"),
    "diffusers": re.compile(
        r"(?:down_blocks|up_blocks|mid_block|transformer_blocks|single_transformer_blocks)_"
    ),
}


def named(
    layers: Sequence[tuple[Source, Tensors]], base: ModelFiles | None
) -> list[tuple[str, Tensors]]:
    """(layer, tensors) in the spelling of the sources' own files; where that cannot express them,
    under kohya's names. NeedsModel: kohya's names are needed and there is no model."""
    try:
        return [as_in_file(source, tensors) for source, tensors in layers]
    except NeedsModel:
        if base is None:
            raise
    return [(kohya(source), tensors) for source, tensors in layers]


def as_in_file(source: Source, tensors: Tensors) -> tuple[str, Tensors]:
    """(layer, tensors) in the spelling of the layer's own file."""
    layer, layout, is_sides = astuple(source.spelling)
    plain = tensors.keys() <= PLAIN
    if layout in ("diffusers", "peft") or (is_sides and plain):
        if not plain or source.in_folder:
            kind = "a file without its folder's configuration" if plain else description(tensors)
            raise NeedsModel(f"{source.name}: names of {layout} cannot say {kind}: give --model, "
                             "and the result has kohya's names")  # fmt: skip
        return layer, sides(source.name, tensors)
    return plain_name(layer), tensors


def kohya(source: Source) -> str:
    """The name of the layer in kohya's files, from the model."""
    assert source.base is not None and source.place is not None
    return source.base.directory.spell(*source.place, "kohya")


def plain_name(name: str) -> str:
    """The name in kohya's spelling, so that two spellings of a layer are equal.

    >>> plain_name("lycoris_te_encoder_layers_0_mlp_fc1"), plain_name("unet.conv_in")
    ('lora_te_text_model_encoder_layers_0_mlp_fc1', 'unet.conv_in')
    """
    name = re.sub(r"^(?:lycoris|oft)_(?=unet_|te\d?_|transformer_)", "lora_", name)
    return re.sub(r"^(lora_te\d?_)(?=encoder_|embeddings_|final_)", r"\1text_model_", name)


def check_one_way(names: Iterable[str]) -> None:
    """NeedsModel: layers of one kind are named in two ways, so that the same layer of two files
    might not be matched."""
    leads: dict[bool, set[str]] = {True: set(), False: set()}
    ways = set()
    for name in map(plain_name, names):
        start = lead[0] if (lead := LEAD.match(name)) else ""
        text = TEXT.match(name) is not None
        leads[text].add(re.sub(r"\d", "N", start) if text else start)
        ways |= {way for way, form in WAYS.items() if form.match(name[len(start) :])}
    for several in (ways, *leads.values()):
        if len(several) > 1:
            listed = " and ".join(sorted(start_of or "no prefix" for start_of in several))
            raise NeedsModel(f"the files name their layers in two ways ({listed}): give --model, "
                             "so that they meet")  # fmt: skip
