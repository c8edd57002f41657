"""Where a training stands, as bytes. No random state is part of it: see `rng`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lycoris_bench.files.sealed import check, seal
from lycoris_bench.messages.errors import BenchError

FORMAT = "lycoris-bench training state 1"


class StateError(BenchError):
    """Bytes that are no training state, or that of another training: start anew without them."""


@dataclass(frozen=True)
class State:
    """Adapter, optimizer and position. `about` holds what is no tensor and must be JSON."""

    network: dict[str, Tensor]
    optimizer: dict[int, dict[str, Any]]  # parameter index -> its moments and counters
    about: dict[str, Any]

    def to_bytes(self) -> bytes:
        """Safetensors, exact to the last bit."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.items()}
        plain: dict[str, dict[str, Any]] = {}
        for index, moments in self.optimizer.items():
            for name, value in _flat(moments):
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
                else:
                    plain.setdefault(str(index), {})[name] = value
        tensors = _apart(tensors)
        about = json.dumps({"about": self.about, "optimizer": plain})
        return seal(save(tensors, {"format": FORMAT, "state": about}))

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        try:
            metadata = check(data)
            tensors = load(data)
            if metadata.get("format") != FORMAT:
                raise StateError("the saved training state is of another kind")
            stored = json.loads(metadata["state"])
            network: dict[str, Tensor] = {}
            optimizer = {int(index): dict(plain) for index, plain in stored["optimizer"].items()}
            for key, tensor in tensors.items():
                owner, _, name = key.partition(".")
                if owner == "network":
                    network[name] = tensor
                else:
                    index, _, name = name.partition(".")
                    optimizer.setdefault(int(index), {})[name] = tensor
            return cls(network, optimizer, stored["about"])
        except StateError:
            raise
        except (SafetensorError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise StateError(f"the saved training state is broken ({error})") from None


def _flat(moments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A parameter's moments by name. bitsandbytes has those with 8 bits in a mapping of their own;
    it reads them with and without it."""
    for name, value in moments.items():
        if isinstance(value, Mapping):
            yield from value.items()
        else:
            yield name, value


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, none in the memory of another, which safetensors refuses: all 8-bit
    moments have one table of values."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in taken else tensor
        taken.add(place)
    return apart


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Moments and counters go in, the groups (rate, betas) stay as they are."""
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state.optimizer, "param_groups": groups})
