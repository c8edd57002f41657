"""The text encoders of a single file: CLIP under its own names, OpenCLIP's under those of CLIP."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lycoris_bench.messages.numbers import plural
from lycoris_bench.models.compvis_layers import RESBLOCK
from lycoris_bench.models.parts import BackboneError

if TYPE_CHECKING:
    from lycoris_bench.models.families.base import TextInFile

HEAD_WIDTH = 64
ENDS = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}


PROJECTION = "text_projection.weight"


def read(tensors: Mapping[str, Tensor], text: "TextInFile") -> Any:
    """The text encoder of a single file, as the transformers model that it is."""
    if text.open_clip:
        weights = dict(_renamed(_under(tensors, text.prefix)))
    else:
        weights = _under(tensors, f"{text.prefix}text_model.")
    if not weights:
        raise BackboneError("it holds no text encoder")
    unused = [f"encoder.layers.{_layers(weights) - k - 1}." for k in range(text.unused_layers)]
    unused += [] if text.projects else [PROJECTION]
    weights = {
        name: tensor for name, tensor in weights.items() if not name.startswith(tuple(unused))
    }
    return _model(weights, "gelu" if text.open_clip else "quick_gelu")


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _renamed(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """OpenCLIP's tensors under CLIP's names: the fused projection is split into q, k and v, and the
    text projection is transposed."""
    for name, tensor in weights.items():
        if name in ENDS:
            yield ENDS[name], tensor
        elif name == "text_projection":
            yield PROJECTION, tensor.T.contiguous()
        elif name.startswith("transformer.resblocks."):
            number, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
            block = f"encoder.layers.{number}"
            layer, _, kind = rest.rpartition(".")
            if layer == "attn":  # in_proj_weight, in_proj_bias
                for part, third in zip("qkv", tensor.chunk(3), strict=True):
                    yield f"{block}.self_attn.{part}_proj.{kind.removeprefix('in_proj_')}", third
            else:
                yield f"{block}.{RESBLOCK[layer]}.{kind}", tensor


def _layers(weights: Mapping[str, Tensor]) -> int:
    return len({name.split(".")[2] for name in weights if name.startswith("encoder.layers.")})


def _model(weights: Mapping[str, Tensor], activation: str) -> Any:
    """The transformers model of these tensors, with a projection where they have one."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    words, width = weights["embeddings.token_embedding.weight"].shape
    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=weights["encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=_layers(weights),
        num_attention_heads=max(1, width // HEAD_WIDTH),
        max_position_embeddings=weights["embeddings.position_embedding.weight"].shape[0],
        projection_dim=weights[PROJECTION].shape[0] if PROJECTION in weights else width,
        hidden_act=activation,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1 if activation == "quick_gelu" else 0,
    )
    with torch.random.fork_rng([]):  # the first values are thrown away
        model = (CLIPTextModelWithProjection if PROJECTION in weights else CLIPTextModel)(config)
    # Newer versions of transformers drop the prefix of the bare model.
    prefixed = any(name.startswith("text_model.") for name in model.state_dict())
    state = {
        f"text_model.{n}" if prefixed and n != PROJECTION else n: t for n, t in weights.items()
    }  # fmt: skip
    missing, _ = model.load_state_dict(state, strict=False)
    if missing:
        lacking = plural(len(missing), "tensor")
        raise BackboneError(f"a text encoder lacks {lacking}, such as {missing[0]}")
    return model
