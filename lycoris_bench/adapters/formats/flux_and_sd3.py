"""Flux and SD 3 by the names of Black Forest Labs and Stability, as diffusers' layers.

One of their layers may be several of diffusers': qkv is q, k and v, and Flux's linear1 is q, k, v
and the MLP, stacked along the outputs. Each gets its own rows of the same factors."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from torch import Tensor

from lycoris_bench.adapters.algorithms.base import Adapter, Span
from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.formats.checked import shape
from lycoris_bench.adapters.formats.layer_names import BEGINNINGS
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.errors import BenchError

Layer = dict[str, Tensor]
SWAPPED = "(halves swapped)"  # scale and shift stand the other way round
ATTENTION = ("attn.to_q", "attn.to_k", "attn.to_v")
ADDED = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
DOUBLE = {
    "img_attn_qkv": ATTENTION, "txt_attn_qkv": ADDED,
    "img_attn_proj": ("attn.to_out.0",), "txt_attn_proj": ("attn.to_add_out",),
    "img_mlp_0": ("ff.net.0.proj",), "img_mlp_2": ("ff.net.2",),
    "txt_mlp_0": ("ff_context.net.0.proj",), "txt_mlp_2": ("ff_context.net.2",),
    "img_mod_lin": ("norm1.linear",), "txt_mod_lin": ("norm1_context.linear",),
    "img_attn_norm_query_norm": ("attn.norm_q",), "img_attn_norm_key_norm": ("attn.norm_k",),
    "txt_attn_norm_query_norm": ("attn.norm_added_q",),
    "txt_attn_norm_key_norm": ("attn.norm_added_k",),
}  # fmt: skip
SINGLE = {
    "linear1": (*ATTENTION, "proj_mlp"), "linear2": ("proj_out",),
    "modulation_lin": ("norm.linear",),
    "norm_query_norm": ("attn.norm_q",), "norm_key_norm": ("attn.norm_k",),
}  # fmt: skip
JOINT = {
    "x_block_attn_qkv": ATTENTION, "context_block_attn_qkv": ADDED,
    "x_block_attn2_qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "x_block_attn_proj": ("attn.to_out.0",), "context_block_attn_proj": ("attn.to_add_out",),
    "x_block_attn2_proj": ("attn2.to_out.0",),
    "x_block_mlp_fc1": ("ff.net.0.proj",), "x_block_mlp_fc2": ("ff.net.2",),
    "context_block_mlp_fc1": ("ff_context.net.0.proj",),
    "context_block_mlp_fc2": ("ff_context.net.2",),
    "x_block_adaLN_modulation_1": ("norm1.linear",),
    "context_block_adaLN_modulation_1": ("norm1_context.linear",),
    "x_block_attn_ln_q": ("attn.norm_q",), "x_block_attn_ln_k": ("attn.norm_k",),
    "x_block_attn2_ln_q": ("attn2.norm_q",), "x_block_attn2_ln_k": ("attn2.norm_k",),
    "context_block_attn_ln_q": ("attn.norm_added_q",),
    "context_block_attn_ln_k": ("attn.norm_added_k",),
}  # fmt: skip
BLOCKS = {
    "double_blocks": ("transformer_blocks", DOUBLE),
    "single_blocks": ("single_transformer_blocks", SINGLE),
    "joint_blocks": ("transformer_blocks", JOINT),
}
EMBEDDERS = {"time_in": "timestep", "vector_in": "text", "guidance_in": "guidance",
             "t_embedder": "timestep", "y_embedder": "text"}  # fmt: skip
ENDS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "x_embedder_proj": "pos_embed.proj",
    "context_embedder": "context_embedder",
    "final_layer_linear": "proj_out",
    "final_layer_adaLN_modulation_1": f"norm_out.linear{SWAPPED}",
    **{
        f"{theirs}_{part}": f"time_text_embed.{ours}_embedder.linear_{k}"
        for theirs, ours in EMBEDDERS.items()
        for k, part in ((1, "in_layer"), (2, "out_layer"), (1, "mlp_0"), (2, "mlp_2"))
    },
}
STARTS = "|".join(start for start, models in BEGINNINGS.items() if "transformer" in models)
BLOCK = re.compile(rf"(?:{STARTS})({'|'.join(BLOCKS)})_(\d+)_(.+)")
OUTSIDE = re.compile(rf"(?:{STARTS})({'|'.join(ENDS)})")


def unfused(layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """The layers by diffusers' names, where they have those of Black Forest Labs or Stability;
    all others as they are.

    Raises `AdapterFileError` for a layer whose factors cannot be divided exactly."""
    renamed = names(layers)
    divided: dict[str, Layer] = {}
    for name, tensors in layers.items():
        parts = _parts(name, renamed[name], tensors) if name in renamed else {name: tensors}
        for path, part in parts.items():
            if path in divided:
                raise AdapterFileError(f"'{path}' is there twice, once of them in {name}")
            divided[path] = part
    return divided


def names(layers: Iterable[str]) -> dict[str, list[str]]:
    """Layer as Black Forest Labs or Stability name it -> its names in diffusers, in kohya's
    spelling; layers with other names are left out."""
    layers = list(layers)
    if not any(BLOCK.fullmatch(_plain(name)) for name in layers):
        return {}
    return {
        name: [f"lora_transformer_{_plain(path.removesuffix(SWAPPED))}" for path in paths]
        for name in layers
        if (paths := _paths(name))
    }


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _paths(name: str) -> list[str]:
    """The paths of the layers in diffusers, in the order of their outputs; none for a name of
    another kind."""
    if block := BLOCK.fullmatch(_plain(name)):
        kind, number, rest = block.groups()
        ours, table = BLOCKS[kind]
        return [f"{ours}.{number}.{path}" for path in table.get(rest, ())]
    end = OUTSIDE.fullmatch(_plain(name))
    return [ENDS[end[1]]] if end else []


def _parts(name: str, spelled: Sequence[str], tensors: Layer) -> dict[str, Layer]:
    paths = _paths(name)
    swapped, last = paths[0].endswith(SWAPPED), paths[0].endswith("norm1_context.linear")
    if len(paths) == 1 and not (swapped or last):
        return {spelled[0]: tensors}
    recognised = recognise(tensors)
    if recognised is None:
        raise AdapterFileError(f"{name} is of no known algorithm: {', '.join(tensors)}")
    if recognised[1].changes_outputs_alike(tensors):
        return dict.fromkeys(spelled, tensors)
    outputs, inputs = _size(name, recognised, tensors)

    def rows(spans: Sequence[Span]) -> Layer:
        try:
            return recognised[1].rows(tensors, spans)
        except BenchError as error:
            raise _undivided(name, str(error)) from None

    if swapped or (last and outputs == 2 * inputs):
        # SD 3's last block has but a scale and a shift of the text, in the order of the end
        return {spelled[0]: rows([(outputs // 2, outputs), (0, outputs // 2)])}
    if len(paths) == 1:
        return {spelled[0]: tensors}
    width = outputs // 3 if len(paths) == 3 else inputs or outputs // 7  # the MLP is 4 wide
    ends = [0, width, 2 * width, 3 * width, outputs][: len(paths) + 1]
    if not 0 < ends[-2] < ends[-1] == outputs:
        raise AdapterFileError(f"{name}: its {outputs} outputs are not those of "
                               f"{', '.join(paths)}")  # fmt: skip
    spans = zip(spelled, pairwise(ends), strict=True)
    return {path: rows([span]) for path, span in spans}


def _size(name: str, recognised: tuple[str, type[Adapter]], tensors: Layer) -> tuple[int, int]:
    """(outputs, inputs) of the layer, 0 for inputs that the tensors do not show."""
    shape(name, recognised[1], tensors)
    outputs, inputs = recognised[1].sizes(tensors)
    if not outputs:
        raise _undivided(name, recognised[0])
    return outputs, inputs


def _undivided(name: str, change: str) -> AdapterFileError:
    return AdapterFileError(
        f"{name} is several layers of diffusers in one, and {change} cannot be divided among them; "
        "train it with diffusers' names, or use it in the program that wrote it"
    )
