"""The `ss_*` metadata that trainers of the ecosystem write and its tools show."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

from lycoris_bench import registry


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
    """What trainers of the ecosystem write: `ss_*` strings. What is not given is left out, but
    for the algorithm's options, whose defaults are written as well."""
    parameters = inspect.signature(registry.get("adapters", algorithm)).parameters.values()
    chosen = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | dict(options)
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
