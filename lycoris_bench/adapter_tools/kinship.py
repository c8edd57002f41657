"""Checks that adapter files are for models of one family."""

import re
from collections.abc import Sequence

from lycoris_bench.adapter_tools.naming import LEAD, TEXT
from lycoris_bench.adapter_tools.source import Adapter
from lycoris_bench.adapters.formats.families import in_metadata
from lycoris_bench.adapters.matching import AdapterMismatch

STRUCTURES = {  # what a layer's path begins with in models of one build
    "a U-Net": re.compile(r"(?:down_blocks|up_blocks|mid_block|input_blocks|output_blocks|"
                          r"middle_block)_"),
    "a transformer as Flux and SD 3": re.compile(
        r"(?:transformer_blocks|single_transformer_blocks|double_blocks|single_blocks|"
        r"joint_blocks)_\d"
    ),
    "a transformer of 'layers'": re.compile(r"layers_\d"),
    "a transformer of 'blocks'": re.compile(r"blocks_\d"),
}  # fmt: skip


def family(adapter: Adapter) -> str:
    """The model family by layer names and shapes, else by the metadata; "" where neither tells."""
    return adapter.family or in_metadata(adapter.metadata)


def check_one_family(adapters: Sequence[Adapter]) -> str:
    """The files' family, "" where none is known. AdapterMismatch: names two files that differ."""
    named = [(adapter, name) for adapter in adapters if (name := family(adapter))]
    for adapter, name in named[1:]:
        first, first_name = named[0]
        if name != first_name:
            raise AdapterMismatch(f"{first.path} is for {first_name} and {adapter.path} for "
                                  f"{name}: files of two families are not combined")  # fmt: skip
    built = [(adapter, structures) for adapter in adapters if (structures := _structures(adapter))]
    for adapter, structures in built[1:]:
        first, first_structures = built[0]
        if not first_structures.keys() & structures.keys():
            its, layer = next(iter(first_structures.items()))
            structure, other = next(iter(structures.items()))
            raise AdapterMismatch(f"{first.path} is for {its} (it has {layer}) and {adapter.path} "
                                  f"for {structure} (it has {other}): files of two families are "
                                  "not combined")  # fmt: skip
    return named[0][1] if named else ""


def _structures(adapter: Adapter) -> dict[str, str]:
    """Structure of a denoiser -> a layer of the file that shows it."""
    structures: dict[str, str] = {}
    for source in adapter.layers:
        lead = LEAD.match(source.name)
        path = source.name[lead.end() if lead else 0 :]
        for structure, form in STRUCTURES.items():
            if form.match(path) and not TEXT.match(source.name):
                structures.setdefault(structure, source.name)
    return structures
