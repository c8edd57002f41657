"""Checks the options of a PEFT configuration that change the meaning of its tensors."""

import warnings
from collections.abc import Mapping
from typing import Any

from lycoris_bench.adapters.algorithms.lora import LoRA
from lycoris_bench.adapters.algorithms.recognise import kinds
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.printable import printable

MERGED = "merge it with PEFT (merge_and_unload)"
CONVERTED = ("save it again in PEFT with path_initial_model_for_weight_conversion, which makes "
             "a plain LoRA of it, or merge it there (merge_and_unload)")  # fmt: skip
# Starts that leave W as it is. Any other may take its start out of W, so that the file is relative
# to a weight which is not the base model's.
STARTS = ("gaussian", "eva", "orthogonal", "mica", "lycoris", "true", "false", "none")
SWITCHES = ("use_rslora", "use_dora", "lora_bias", "coft", "block_share", "use_cayley_neumann")
REFUSED = {
    "use_qalora": "its factors act on pooled inputs",
    "alora_invocation_tokens": "it acts after some words of a text alone",
    "layer_replication": "it repeats layers of the model",
    "megatron_config": "its factors may be parts of a layer that several devices share",
    "arrow_config": "it chooses among several adapters for each input",
    "kasa_config": "it takes the least singular values out of the base model",
    "monteclora_config": "its factors are drawn at random",
    "use_bdlora": "its factors are block-diagonal",
    "target_parameters": "it changes single parameters and not layers",
}
# What says where, from what or how it was trained; and what is read elsewhere.
HARMLESS = frozenset((
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "modules_to_save", "trainable_token_indices", "ensure_weight_tying", "fan_in_fan_out", "bias",
    "lora_dropout", "rank_dropout", "module_dropout", "rank_dropout_scale", "init_weights",
    "init_lora_weights", "megatron_core", "eva_config", "corda_config", "loftq_config",
    "lora_ga_config", "velora_config", "qalora_group_size", "runtime_config", "decompose_both",
    "decompose_factor", "oft_block_size", "r", "lora_alpha", "alpha", "rank_pattern",
    "alpha_pattern", "use_effective_conv2d", "eps", "num_cayley_neumann_terms", *SWITCHES,
))  # fmt: skip


def check(config: Mapping[str, Any], source: str) -> None:
    """Raises `AdapterFileError` where the tensors mean something that cannot be known from them;
    warns of options that are not known here and are not off."""
    kind = config.get("peft_type") or LoRA.peft
    differs = {ours.peft: ours.peft_differs for ours in kinds().values() if ours.peft}
    if not isinstance(kind, str) or differs.get(kind.upper(), kind):
        title = differs.get(str(kind).upper(), printable(kind, 40))
        raise AdapterFileError(f"{source} is of PEFT's {title} and is not read here; {MERGED}")
    for name in SWITCHES:
        if not isinstance(config.get(name, False), bool | None):
            raise AdapterFileError(f"{source}: {name} is {_shown(config[name])}; "
                                   "true and false are allowed")  # fmt: skip
    for name, reason in REFUSED.items():
        if config.get(name):
            raise AdapterFileError(f"{source} has {name}: {reason}; {MERGED}")
    if config.get("bias") not in (None, "none"):
        raise AdapterFileError(f"{source} has bias = {_shown(config['bias'])}: it holds whole "
                               f"biases, and no change of them; {MERGED}")  # fmt: skip
    _check_start(config, source)
    unknown = [name for name in config if name not in HARMLESS | REFUSED.keys() and config[name]]
    if unknown:
        warnings.warn(
            f"{source} has options that are not known here and may change what it means: "
            f"{printable(', '.join(unknown))}; compare with PEFT's merge_and_unload",
            stacklevel=2,
        )


def _check_start(config: Mapping[str, Any], source: str) -> None:
    for name in ("init_lora_weights", "init_weights"):
        start = config.get(name)
        if str(start).lower() in STARTS:
            continue
        is_relative = isinstance(start, str) and start.lower().startswith(
            ("pissa", "olora", "corda", "loftq", "lora_ga")
        )
        reason = (
            "its factors are relative to the base model less their start"
            if is_relative
            else "it may be relative to another base model"
        )
        raise AdapterFileError(f"{source} has {name} = {_shown(start)}: {reason}; {CONVERTED}")


def _shown(value: object) -> str:
    return printable(repr(value), 60)
