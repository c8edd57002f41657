"""Copies of a base model, for tests that change one: cheaper than another from the disk."""

import dataclasses
from typing import Any, TypeVar

from torch import nn

from lycoris_bench.models.backbone import Backbone

Network = TypeVar("Network", bound=nn.Module)


def copied(backbone: Backbone) -> Backbone:
    """The model with networks of its own; tokenizers and schedule are never changed."""
    return dataclasses.replace(
        backbone, unet=twin(backbone.unet), vae=twin(backbone.vae),
        text_encoders=tuple(map(twin, backbone.text_encoders)),
    )  # fmt: skip


def twin(network: Network, seen: dict[int, Any] | None = None) -> Network:
    """The network again, with modules, parameters, buffers and hooks of its own; what is shared in
    it is shared in the twin. As `copy.deepcopy`, in a quarter of the time, but that configurations
    and processors, which are replaced and never changed, stay those of the original."""
    seen = {} if seen is None else seen
    if id(network) in seen:
        return seen[id(network)]
    seen[id(network)] = made = network.__new__(type(network))
    own = vars(made)
    own.update(vars(network))
    for name, value in own.items():
        if type(value).__name__ in ("dict", "OrderedDict", "set", "list"):
            own[name] = value.copy()
    for name, value in own["_parameters"].items():
        if value is not None:
            if id(value) not in seen:
                seen[id(value)] = nn.Parameter(value.detach().clone(), value.requires_grad)
            own["_parameters"][name] = seen[id(value)]
    for name, value in own["_buffers"].items():
        own["_buffers"][name] = None if value is None else value.clone()
    for name, value in own["_modules"].items():
        own["_modules"][name] = None if value is None else twin(value, seen)
    return made
