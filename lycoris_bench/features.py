"""One pass over images: each is read and decoded once, and shown to all that look at it.

    look(items, [Embedder(...), Embedder(...), Pairs(...)])

What an encoder sees is kept by encoder record and image, so that it is computed once a run."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lycoris_bench import encoders
from lycoris_bench.diffusion.images import read_image
from lycoris_bench.encoders.base import Encoder
from lycoris_bench.encoders.resize import Picture
from lycoris_bench.store import Store

Item = tuple[str, Path]
"""An image as the feature store knows it: the uid of its content, and where it lies."""

AHEAD = 64  # images that wait, prepared, for an accelerator


class Viewer(Protocol):
    """Looks at some of the images of a pass."""

    @property
    def wanted(self) -> Iterable[str]:
        """The uids of the images that it needs to see; none: all it needs is stored."""

    def prepare(self, uid: str, image: Picture) -> Any:
        """What it needs of a decoded image; called from several threads at once."""

    def see(self, uid: str, prepared: Any) -> None:
        """Takes it in; called in the order of the images."""

    def done(self) -> None:
        """There are no more images."""


@cache
def encoder(spec: str, device: str) -> Encoder:
    """The encoder `name` or `name:resizing`, loaded once a process."""
    return encoders.load(spec, device)


def look(items: Iterable[Item], viewers: Sequence[Viewer], threads: int = 0) -> int:
    """Shows each image to the viewers that want it; the number of images decoded.

    `threads` read ahead and prepare; with 0 it is done here, one image after the other. What is
    seen does not depend on it."""
    wanted = [frozenset(viewer.wanted) for viewer in viewers]

    def prepared(item: Item) -> list[tuple[Viewer, Any]]:
        uid, path = item
        image = Picture(read_image(path))
        pairs = zip(viewers, wanted, strict=True)
        return [(viewer, viewer.prepare(uid, image)) for viewer, uids in pairs if uid in uids]

    some = frozenset().union(*wanted)
    needed = [(uid, path) for uid, path in dict(items).items() if uid in some]
    for (uid, _), shown in zip(needed, _each(prepared, needed, threads), strict=True):
        for viewer, what in shown:
            viewer.see(uid, what)
    for viewer, uids in zip(viewers, wanted, strict=True):
        if uids:
            viewer.done()
    return len(needed)


def threads_for(device: str) -> int:
    """Readers that keep an accelerator fed; on the CPU none: a core does one thing at a time."""
    return 0 if device == "cpu" else min(16, os.cpu_count() or 1)


def _each(work: Callable[[Item], Any], items: Sequence[Item], threads: int) -> Iterator[Any]:
    """work(item) for each, in order, at most AHEAD of them waiting."""
    if not threads:
        yield from map(work, items)
        return
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class Embedder:
    """The features of a branch's images: those stored, or all made anew and stored."""

    def __init__(
        self, store: Store, branch: Path, seer: Encoder, items: Iterable[Item], batch_size: int
    ) -> None:
        record = seer.record
        self.seer, self.store, self.batch_size = seer, store, batch_size
        self.path = store.features(branch, f"{record.name}-{record.resize}-{record.hash}")
        self.seen: dict[str, np.ndarray[Any, Any]] = {}
        self.wanted: list[str] = []
        self._batch: list[torch.Tensor] = []
        self._parts: list[np.ndarray[Any, Any]] = []
        uids = list(dict(items))
        stored = _read(self.path)
        if stored is not None and set(uids) <= set(stored[0]):
            self.seen = dict(zip(*stored, strict=True))
        else:
            self.wanted = uids

    def prepare(self, uid: str, image: Picture) -> torch.Tensor:
        """The image as the encoder takes it."""
        return self.seer.prepare(image)

    def see(self, uid: str, prepared: torch.Tensor) -> None:
        """Images come in the order of `wanted`; `batch_size` of them are encoded at once."""
        self._batch.append(prepared)
        if len(self._batch) == self.batch_size:
            self._encode()

    def done(self) -> None:
        """Stores the features."""
        self._encode()
        made = np.concatenate(self._parts)
        self.store.write(self.path, save({"features": made}, {"uids": json.dumps(self.wanted)}))
        self.seen = dict(zip(self.wanted, made, strict=True))

    def _encode(self) -> None:
        if self._batch:
            features: Any = self.seer.encode(self._batch)
            self._parts.append(features.float().cpu().numpy())
            self._batch = []


def _read(path: Path) -> tuple[list[str], np.ndarray[Any, Any]] | None:
    try:
        with safe_open(path, "numpy") as file:
            return json.loads(file.metadata()["uids"]), file.get_tensor("features")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None
