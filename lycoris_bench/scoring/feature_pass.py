"""One pass over images: each is read and decoded once, and shown to all that look at it.

    look(items, [Embedder(...), Embedder(...), Pairs(...)])

What an encoder sees is kept by encoder record and image, so that it is computed once a run."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.numpy import load, save

from lycoris_bench.data.images import DataError, read_image
from lycoris_bench.files import disk
from lycoris_bench.files.sealed import check, seal
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.encoders.resize import Picture

Array = np.ndarray[Any, Any]
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


def encoder(spec: str, device: str, weights: str | None = None) -> Encoder:
    """The encoder `name` or `name:resizing`, with its own weights or others; its network is
    loaded once a process, whatever the resizings."""
    loaded = _loaded(spec.partition(":")[0], device, weights)
    return loaded.with_record(loaded.record.with_resize(encoders.record(spec).resize))


@cache
def _loaded(name: str, device: str, weights: str | None) -> Encoder:
    return encoders.load(name, device, weights)


class UnreadableImages(BenchError):
    """Images of a pass that cannot be read: their paths, and why."""

    def __init__(self, problems: Mapping[Path, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


def look(items: Iterable[Item], viewers: Sequence[Viewer], threads: int = 0) -> int:
    """Shows each image to the viewers that want it; the number of images decoded.

    `threads` read ahead and prepare; with 0 it is done here, one image after the other. What is
    seen does not depend on it. UnreadableImages: all that cannot be read, once all are tried."""
    wanted = [frozenset(viewer.wanted) for viewer in viewers]
    problems: dict[Path, str] = {}

    def prepared(item: Item) -> list[tuple[Viewer, Any]]:
        uid, path = item
        try:
            image = Picture(read_image(path))
            pairs = zip(viewers, wanted, strict=True)
            return [(viewer, viewer.prepare(uid, image)) for viewer, uids in pairs if uid in uids]
        except DataError as error:
            problems[Path(error.source)] = str(error)
            return []

    some = frozenset().union(*wanted)
    needed = [(uid, path) for uid, path in dict(items).items() if uid in some]
    for (uid, _), shown in zip(needed, _each(prepared, needed, threads), strict=True):
        for viewer, what in shown if not problems else ():
            viewer.see(uid, what)
    if problems:
        raise UnreadableImages(problems)
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
        self.seen: dict[str, Array] = {}
        self.wanted: list[str] = []
        self._batch: list[tuple[str, torch.Tensor]] = []
        uids = list(dict(items))
        stored = _read(self.path)
        if set(uids) <= stored.keys():
            self.seen = stored
        else:
            self.wanted = uids

    def prepare(self, uid: str, image: Picture) -> torch.Tensor:
        """The image as the encoder takes it."""
        return self.seer.prepare(image)

    def see(self, uid: str, prepared: torch.Tensor) -> None:
        """Encodes `batch_size` images at once."""
        self._batch.append((uid, prepared))
        if len(self._batch) == self.batch_size:
            self._encode()

    def done(self) -> None:
        """Stores the features of all that was wanted."""
        self._encode()
        made = np.stack([self.seen[uid] for uid in self.wanted])
        content = save({"features": made}, {"uids": json.dumps(self.wanted)})
        self.store.write(self.path, seal(content))

    def _encode(self) -> None:
        if self._batch:
            uids, images = zip(*self._batch, strict=True)
            features: Any = self.seer.encode(images)
            self.seen.update(zip(uids, features.float().cpu().numpy(), strict=True))
            self._batch = []


def _read(path: Path) -> dict[str, Array]:
    """uid -> features; nothing where the file is missing, damaged or at odds with its index."""
    try:
        content = disk.read_bytes(path)
        uids = json.loads(check(content)["uids"])
        features = load(content)["features"]
    except (KeyError, ValueError):  # errors of files and seals are ValueErrors
        return {}
    fits = features.ndim == 2 and isinstance(uids, list) and len(uids) == len(features)
    return dict(zip(uids, features, strict=True)) if fits else {}
