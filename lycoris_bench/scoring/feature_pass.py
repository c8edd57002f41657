"""One pass over images: each is read and decoded once, and goes to all consumers that need it.

feature_pass(items, [Embedder(...), Embedder(...), Pairs(...)])
"""

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from lycoris_bench.data.images import DataError, read_image
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.metrics.inputs import Item

AHEAD = 64  # images that wait, prepared, for an accelerator


class Consumer(ABC):
    """Takes some of the images of a pass, in batches. Subclasses are final.

    `prepare` is what it needs of a decoded image, such as `Encoder.prepare`."""

    def __init__(self, prepare: Callable[[Picture], Any], batch_size: int) -> None:
        self._prepare, self.batch_size = prepare, batch_size
        self._waiting: list[tuple[str, Any]] = []

    @property
    @abstractmethod
    def pending(self) -> Collection[str]:
        """The uids of the images that it needs from a pass; none: all it needs is stored."""

    @abstractmethod
    def take(self, uids: Sequence[str], prepared: Sequence[Any]) -> None:
        """Takes a batch of prepared images, in the order of the pass."""

    def prepare(self, uid: str, image: Picture) -> Any:
        """What it needs of an image; called from several threads at once."""
        return self._prepare(image)

    def consume(self, uid: str, prepared: Any) -> None:
        """Takes an image; called in the order of the pass, in one thread."""
        self._waiting.append((uid, prepared))
        if len(self._waiting) == self.batch_size:
            self._take_waiting()

    def flush(self) -> None:
        """Takes the last, smaller batch: there are no more images."""
        self._take_waiting()

    def _take_waiting(self) -> None:
        if self._waiting:
            uids, prepared = zip(*self._waiting, strict=True)
            self.take(uids, prepared)
            self._waiting = []


def shared_encoder(spec: str, device: str, weights: str | None = None) -> Encoder:
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


def feature_pass(items: Iterable[Item], consumers: Sequence[Consumer], threads: int = 0) -> int:
    """Gives each image to the consumers that need it; the number of images decoded.

    `threads` read ahead and prepare; with 0 it is done here, one image after the other. What is
    consumed does not depend on it. UnreadableImages: all that cannot be read, once all are
    tried."""
    pending = [frozenset(consumer.pending) for consumer in consumers]
    problems: dict[Path, str] = {}

    def prepared(item: Item) -> list[tuple[Consumer, Any]]:
        uid, path = item
        try:
            image = Picture(read_image(path))
            pairs = zip(consumers, pending, strict=True)
            return [(c, c.prepare(uid, image)) for c, uids in pairs if uid in uids]
        except DataError as error:
            problems[Path(error.source)] = str(error)
            return []

    anywhere = frozenset().union(*pending)
    needed = [(uid, path) for uid, path in dict(items).items() if uid in anywhere]
    for (uid, _), given in zip(needed, _each(prepared, needed, threads), strict=True):
        for consumer, image in given if not problems else ():
            consumer.consume(uid, image)
    if problems:
        raise UnreadableImages(problems)
    for consumer, uids in zip(consumers, pending, strict=True):
        if uids:
            consumer.flush()
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
