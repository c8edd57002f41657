"""Writes PEFT folders: one configuration and one file for each adapted model."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from safetensors.torch import save
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS
from lycoris_bench.adapters.algorithms.recognise import description, kinds, recognise
from lycoris_bench.adapters.formats.adapter_file import by_layer
from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.peft_read import CONFIG, WEIGHTS
from lycoris_bench.adapters.formats.safetensors_io import TO_PORTABLE, AdapterFileError
from lycoris_bench.adapters.formats.write import place_of
from lycoris_bench.messages.errors import BenchError

Layers = Mapping[str, Mapping[str, Tensor]]  # dotted path -> tensors


class Part(NamedTuple):
    """The content of a PEFT folder: its configuration, and the tensors of its file."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def text(self) -> str:
        """The text of adapter_config.json."""
        return json.dumps(self.config, indent=2, sort_keys=True) + "\n"


def parts(tensors: Mapping[str, Tensor], directory: Directory) -> dict[str, Part]:
    """Model kind -> its PEFT folder, where the algorithm has one (`Knowledge.to_peft`).

    Raises `AdapterFileError`, which names what PEFT cannot say."""
    models: dict[str, dict[str, dict[str, Tensor]]] = defaultdict(dict)
    for name, layer in by_layer(tensors).items():
        model, path = place_of(name, directory)
        models[model][path] = layer
    return {model: _part(model, layers) for model, layers in models.items()}


def _part(model: str, layers: Layers) -> Part:
    recognised = {path: recognise(layer) for path, layer in layers.items()}
    by_path = {path: algorithm[1] if algorithm else None for path, algorithm in recognised.items()}
    strangers = [path for path, kind in by_path.items() if not kind or not kind.to_peft_folder]
    if strangers or len(set(by_path.values())) > 1:
        path = next(iter(strangers or by_path))
        *names, last = [kind.__name__ for kind in kinds().values() if kind.to_peft_folder]
        held = sorted(
            {algorithm[0] if algorithm else "unknown" for algorithm in recognised.values()}
        )
        raise AdapterFileError(
            f"a PEFT folder holds {', '.join(names)} or {last}, one of them alone, and {model} "
            f"has {', '.join(held)}; {path} is {description(layers[path])}: {TO_PORTABLE}"
        )
    for path, layer in layers.items():
        if BIAS in layer:
            raise AdapterFileError(
                f"PEFT has no change of a bias, and {path} has one: {TO_PORTABLE}"
            )
    (kind,) = set(by_path.values())
    assert kind is not None
    try:
        config, tensors = kind.to_peft(layers)
    except BenchError as error:
        raise AdapterFileError(f"{error}: {TO_PORTABLE}") from None
    # an expression, as a list's names would fit the ends of other paths too
    config["target_modules"] = "|".join(re.escape(path) for path in layers)
    return Part({"peft_type": kind.peft, "inference_mode": True, **config}, tensors)


def files_of(parts: Mapping[str, Part]) -> dict[str, bytes]:
    """Relative path -> content: a folder for each model kind, as `peft_read.read` has it."""
    contents: dict[str, bytes] = {}
    for model, part in parts.items():
        # of layers that share a factor, each has its own
        clones = {key: value.clone() for key, value in part.tensors.items()}
        contents[f"{model}/{WEIGHTS}"] = save(clones, {"format": "pt"})
        contents[f"{model}/{CONFIG}"] = part.text.encode()
    return contents
