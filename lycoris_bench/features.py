"""What an encoder sees in stored images, computed once and kept by encoder record and image."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lycoris_bench import encoders
from lycoris_bench.diffusion.images import read_image
from lycoris_bench.encoders.base import Encoder
from lycoris_bench.store import Store

Item = tuple[str, Path]
"""An image as the feature store knows it: the uid of its content, and where it lies."""


@cache
def encoder(spec: str, device: str) -> Encoder:
    """The encoder `name` or `name:resizing`, loaded once a process."""
    return encoders.load(spec, device)


def features(
    store: Store, branch: Path, seer: Encoder, items: Sequence[Item], batch_size: int
) -> np.ndarray[Any, Any]:
    """Features [n, d] of the images, in their order: those stored, or all encoded anew."""
    record = seer.record
    path = store.features(branch, f"{record.name}-{record.resize}-{record.hash}")
    uids = [uid for uid, _ in items]
    stored = _read(path)
    if stored is not None and set(uids) <= set(stored[0]):
        rows = {uid: row for row, uid in enumerate(stored[0])}
        return stored[1][[rows[uid] for uid in uids]]
    parts = [torch.as_tensor(part) for part in encode(seer, [p for _, p in items], batch_size)]
    made = torch.cat(parts).float().cpu().numpy()
    store.write(path, save({"features": made}, {"uids": json.dumps(uids)}))
    return made


def encode(seer: Encoder, paths: Sequence[Path], batch_size: int) -> Iterator[Any]:
    """What the encoder gives for each batch. Images of unlike prepared size never share one."""
    batch: list[torch.Tensor] = []
    for path in paths:
        prepared = seer.prepare(read_image(path))
        if batch and (len(batch) == batch_size or batch[0].shape != prepared.shape):
            yield _encode(seer, batch)
            batch = []
        batch.append(prepared)
    if batch:
        yield _encode(seer, batch)


@torch.inference_mode()
def _encode(seer: Encoder, batch: list[torch.Tensor]) -> Any:
    return seer.encode(torch.stack(batch))


def _read(path: Path) -> tuple[list[str], np.ndarray[Any, Any]] | None:
    try:
        with safe_open(path, "numpy") as file:
            return json.loads(file.metadata()["uids"]), file.get_tensor("features")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None
