"""Checks that adapter files are for models of one family."""

import re
from collections.abc import Sequence

from lycoris_bench.adapter_tools.naming import LEAD, TEXT
from lycoris_bench.adapter_tools.source import Adapter
from lycoris_bench.adapters.formats.families import known
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
    return adapter.family or known(adapter.metadata)


def check_one_family(adapters: Sequence[Adapter]) -> str:
    """The files' family, "" where none is known. AdapterMismatch: names two files that differ."""
    known = [(adapter, found) for adapter in adapters if (found := family(adapter))]
    for adapter, found in known[1:]:
        first, its = known[0]
        if found != its:
            raise AdapterMismatch(f"{first.path} is for {its} and {adapter.path} for {found}: "
                                  "files of two families are not combined")  # fmt: skip
    built = [(adapter, where) for adapter in adapters if (where := _structures(adapter))]
    for adapter, where in built[1:]:
        first, there = built[0]
        if not there.keys() & where.keys():
            (one, layer), (two, other) = next(iter(there.items())), next(iter(where.items()))
            raise AdapterMismatch(f"{first.path} is for {one} (it has {layer}) and {adapter.path} "
                                  f"for {two} (it has {other}): files of two families are not "
                                  "combined")  # fmt: skip
    return known[0][1] if known else ""


def _structures(adapter: Adapter) -> dict[str, str]:
    """Structure of a denoiser -> a layer of the file that shows it."""
    found: dict[str, str] = {}
    for source in adapter.layers:
        lead = LEAD.match(source.name)
        path = source.name[lead.end() if lead else 0 :]
        for structure, form in STRUCTURES.items():
            if form.match(path) and not TEXT.match(source.name):
                found.setdefault(structure, source.name)
    return found
