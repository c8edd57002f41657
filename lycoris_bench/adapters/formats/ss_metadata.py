"""The `ss_*` metadata that trainers of the ecosystem write and its tools show."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.formats.families import version_of
from lycoris_bench.adapters.formats.peft_read import DIFFUSERS, FOLDER

HASHES = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256")  # of other numbers
OF_NETWORK = ("ss_network_args", "ss_network_dim", "ss_network_alpha", "ss_network_dropout")
OF_FAMILY = ("ss_base_model_version", "ss_v2", "modelspec.architecture")


def metadata(
    *,
    algorithm: str,
    preset: str,
    options: Mapping[str, Any],
    base_model: str = "",
    base_model_version: str = "sd_v1",
    name: str = "",
    lr: float | None = None,
    seed: int | None = None,
    epoch: int | None = None,
    steps: int | None = None,
    images: int | None = None,
    resolution: tuple[int, int] | None = None,
    optimizer: str = "",
    lr_scheduler: str = "",
    tags: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, str]:
    """The `ss_*` strings that trainers of the ecosystem write. Values that are not given are left
    out, except the algorithm's options, whose defaults are written as well."""
    chosen = ALGORITHMS.get(algorithm).defaults() | dict(options)
    dim, alpha = chosen.pop("dim", None), chosen.pop("alpha", None)
    # a switch that is off is left out: there are readers that take the text "False" for true
    extras = {k: str(v) for k, v in chosen.items() if v is not None and v is not False}
    values = {
        "network_module": "lycoris.kohya",
        "network_dim": dim,
        "network_alpha": alpha,
        "network_args": json.dumps({"algo": algorithm, "preset": preset, **extras}),
        "base_model_version": base_model_version,
        "v2": base_model_version.startswith("sd_v2"),
        "sd_model_name": base_model,
        "output_name": name,
        "learning_rate": lr,
        "unet_lr": lr,
        "text_encoder_lr": lr,
        "seed": seed,
        "epoch": epoch,
        "steps": steps,
        "num_train_images": images,
        "resolution": resolution,
        "optimizer": optimizer,
        "lr_scheduler": lr_scheduler,
        "tag_frequency": None if tags is None else json.dumps(tags),
    }
    return {f"ss_{key}": str(value) for key, value in values.items() if value not in (None, "")}


def of_lora(ranks: Collection[int]) -> dict[str, str]:
    """The metadata of a plain LoRA without alphas, whose alpha is then its rank."""
    alpha = str(max(ranks)) if len(set(ranks)) == 1 else "Dynamic"
    return {"ss_network_module": "networks.lora", "ss_network_dim": str(max(ranks)),
            "ss_network_alpha": alpha}  # fmt: skip


def carried(abouts: Sequence[Mapping[str, str]], family: str, same_form: bool) -> dict[str, str]:
    """The metadata of sources that still holds for a result, without the hashes of their tensors.

    Entries that are equal in all sources are kept, and the model family that any of them names:
    readers hide files of an unknown family. `family` is written where no source names one. The
    entries that describe the network are kept where the result has the `same_form`. Empty metadata
    stay empty: some readers take metadata without a version for Stable Diffusion 1."""
    dropped = {*HASHES, DIFFUSERS, FOLDER, *(() if same_form else OF_NETWORK)}
    first, *others = abouts
    common = {
        key: text
        for key, text in first.items()
        if key not in dropped and all(about.get(key) == text for about in others)
    }
    for about in abouts:
        common = {key: about[key] for key in OF_FAMILY if key in about} | common
    if family and not {"ss_base_model_version", "ss_v2"} & common.keys():
        version = version_of(family)
        common["ss_base_model_version"] = version
        common["ss_v2"] = str(version.startswith("sd_v2"))
    return common
