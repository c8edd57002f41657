"""What an adapter file tells of its training: by its tensors, and by the metadata and side files
that trainers write. All of it may be missing."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lycoris_bench.adapters.algorithms.recognise import recognise
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.families import family_of, inputs_of, stated
from lycoris_bench.adapters.formats.layer_names import block_of
from lycoris_bench.study.records import GIVEN, Option

KEYS: Mapping[str, tuple[str, ...]] = {
    "lr": ("ss_unet_lr", "ss_learning_rate", "ot_config.learning_rate"),
    "seed": ("ss_seed", "ot_config.seed"),
    "steps": ("ss_steps", "training_info.step"),
    "epochs": ("ss_epoch", "training_info.epoch"),
    "batch_size": ("ss_total_batch_size", "ss_batch_size_per_device", "ot_config.batch_size"),
    "resolution": ("ss_resolution", "modelspec.resolution", "ot_config.resolution"),
    "base_model": ("ss_sd_model_name", "ot_config.base_model_name"),
    "images": ("ss_num_train_images",),
    "trigger": ("modelspec.trigger_phrase",),
}
"""What is asked -> the keys of metadata that tell it, the first that is there. A dot leads into a
value that is JSON: kohya's sd-scripts write `ss_*` and `modelspec.*`, ai-toolkit `training_info`,
OneTrainer `ot_config`."""
NUMBERS = ("lr", "seed", "steps", "epochs", "batch_size", "images")
LONGEST = 200  # characters of a text that is taken over
LARGEST = 2**62


@dataclass(frozen=True)
class About:
    """What is known of a checkpoint. `layers` counts those that it changes in each block;
    `parameters` its numbers; `told` what its metadata say, by the keys of KEYS."""

    algorithm: str = GIVEN
    family: str = ""
    dim: int | None = None
    alpha: float | None = None
    parameters: int = 0
    layers: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, int | float | str] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Option]:
        """The options of the algorithm that its tensors show."""
        known = {"dim": self.dim, "alpha": self.alpha}
        return {key: value for key, value in known.items() if value is not None}

    def whole(self, key: str) -> int | None:
        """A whole number that the metadata tell, or None."""
        value = self.told.get(key)
        return int(value) if isinstance(value, int | float) and float(value).is_integer() else None


def of_adapter(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> About:
    """What an adapter's tensors and metadata tell."""
    layers = adapter_file.by_layer(tensors)
    known = {name: found for name, layer in layers.items() if (found := recognise(layer))}
    kinds = Counter(found[0] for found in known.values())
    main = kinds.most_common(1)[0][0] if kinds else GIVEN
    ranks = [found[1].rank(layers[n]) for n, found in known.items() if found[0] == main]
    alphas = [layers[n]["alpha"] for n in known if "alpha" in layers[n]]
    family = family_of({name: inputs_of(layer) for name, layer in layers.items()})
    return About(
        algorithm=main,
        family=family or stated(metadata),
        dim=_alike(ranks),
        alpha=_alike([float(alpha) for alpha in alphas]),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        layers=dict(Counter(map(block_of, layers))),
        told=dict(_told(metadata)),
    )


def _alike(values: Sequence[Any]) -> Any:
    """The one value that all have; None where they differ or there is none."""
    several = {*values}
    return several.pop() if len(several) == 1 else None


def _told(metadata: Mapping[str, str]) -> Iterator[tuple[str, int | float | str]]:
    for key, places in KEYS.items():
        for place in places:
            value = _plain(_value(metadata, place), key in NUMBERS)
            if value is not None:
                yield key, value
                break


def _value(metadata: Mapping[str, str], place: str) -> Any:
    """The text of a key, or what a dotted key leads to in a value that is JSON."""
    if place in metadata:
        return metadata[place]
    head, _, inner = place.partition(".")
    try:
        parsed = json.loads(metadata.get(head, "null"))
    except (ValueError, RecursionError):
        return None
    return parsed.get(inner) if isinstance(parsed, dict) else None


def _plain(value: Any, number: bool) -> int | float | str | None:
    """The value as a number or a short text; None for what says nothing."""
    text = str(value).strip()
    if value is None or text in ("", "None", "null"):
        return None
    if not number:
        return text[:LONGEST]
    try:
        found = float(text)
    except ValueError:
        return None
    if not math.isfinite(found) or abs(found) > LARGEST:
        return None
    return int(found) if found.is_integer() else found
