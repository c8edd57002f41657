"""One pass over images: each is read and decoded once, and given to every consumer that needs it.

feature_pass(items, [Embedder(...), Embedder(...), Pairs(...)])
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lycoris_bench.data.images import DataError, read_image
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import environment
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.metrics.inputs import Item

Given = Path | np.ndarray[Any, Any]
"""An image as its file, or as its pixels: uint8 [h,w,3]."""
AHEAD = 64  # prepared images that wait for the accelerator


class Consumer(ABC):
    """Takes its pending images from a pass, in batches. Subclasses are final.

    `prepare` maps a decoded image to what the consumer takes, such as `Encoder.prepare`."""

    def __init__(self, prepare: Callable[[Picture], Any], batch_size: int) -> None:
        self._prepare, self.batch_size = prepare, batch_size
        self._waiting: list[tuple[str, Any]] = []

    @property
    @abstractmethod
    def pending(self) -> Collection[str]:
        """The uids of the images that it needs from a pass; empty where their features are
        stored."""

    @abstractmethod
    def take(self, uids: Sequence[str], prepared: Sequence[Any]) -> None:
        """Processes a batch of prepared images, in the order of the pass."""

    def prepare(self, uid: str, image: Picture) -> Any:
        """Prepares an image; called from several threads at once."""
        return self._prepare(image)

    def consume(self, uid: str, prepared: Any) -> None:
        """Takes a prepared image; called in the order of the pass, in one thread."""
        self._waiting.append((uid, prepared))
        if len(self._waiting) == self.batch_size:
            self._take_waiting()

    def flush(self) -> None:
        """Processes the last, smaller batch at the end of the pass."""
        self._take_waiting()

    def _take_waiting(self) -> None:
        if self._waiting:
            uids, prepared = zip(*self._waiting, strict=True)
            self.take(uids, prepared)
            self._waiting = []


def shared_encoder(spec: str, device: str, weights: str | None = None) -> Encoder:
    """The encoder `name` or `name:resizing`, with its own or other `weights`. Its network is loaded
    once per process, whatever the resizing; a file of weights that was written anew, again."""
    file = disk.expand(weights) if weights else None
    written = file.stat().st_mtime_ns if file and file.is_file() else None
    loaded = _loaded(spec.partition(":")[0], device, weights, written)
    return loaded.with_record(loaded.record.with_resize(encoders.record(spec).resize))


@cache
def _loaded(name: str, device: str, weights: str | None, written: int | None) -> Encoder:
    return encoders.load(name, device, weights)


class UnreadableImages(BenchError):
    """Images of a pass that cannot be read; `problems` maps each path to the reason."""

    def __init__(self, problems: Mapping[Path, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


def feature_pass(
    items: Iterable[Item],
    consumers: Sequence[Consumer],
    threads: int = 0,
    drawn: Iterable[tuple[str, Given]] = (),
) -> int:
    """Gives each image to the consumers that need it. Returns the number of images decoded.

    `threads` read ahead and prepare images; with 0 this thread does, one after the other. Images
    that are `drawn` meanwhile, in the order of their uids among the items, are taken as they come,
    to the last. Results depend on neither. UnreadableImages: names all images that cannot be read,
    after trying each."""
    pending = [frozenset(consumer.pending) for consumer in consumers]
    problems: dict[Path, str] = {}

    def prepared(item: tuple[str, Given]) -> list[tuple[Consumer, Any]]:
        uid, given = item
        try:
            image = Picture(_opened(given))
            pairs = zip(consumers, pending, strict=True)
            return [(c, c.prepare(uid, image)) for c, uids in pairs if uid in uids]
        except DataError as error:
            problems[Path(error.source)] = str(error)
            return []

    anywhere = frozenset().union(*pending)
    needed = {uid: path for uid, path in dict(items).items() if uid in anywhere}
    opened = _each(prepared, _with_drawn(needed, iter(drawn)), threads)
    for uid, given in zip(needed, opened, strict=True):
        for consumer, image in given if not problems else ():
            consumer.consume(uid, image)
    if problems:
        raise UnreadableImages(problems)
    for consumer, uids in zip(consumers, pending, strict=True):
        if uids:
            consumer.flush()
    return len(needed)


def _with_drawn(
    needed: Mapping[str, Path], drawn: Iterator[tuple[str, Given]]
) -> Iterator[tuple[str, Given]]:
    """The needed images in their order: those that are drawn as they are drawn, the others from
    their files. Draws to the end, also what is not needed, or was needed before."""
    left = dict(needed)
    ahead = next(drawn, None)
    for uid, path in needed.items():
        while ahead and ahead[0] not in left:
            ahead = next(drawn, None)
        if ahead and ahead[0] == uid:
            yield ahead
        else:
            yield uid, path
        del left[uid]
    for _ in drawn:
        pass


def _opened(given: Given) -> Image.Image:
    return read_image(given) if isinstance(given, Path) else Image.fromarray(given)


def threads_for(device: str) -> int:
    """The number of reading threads for a device: up to 16 for an accelerator, 0 for the CPU."""
    return 0 if device == "cpu" else min(16, environment.cores())


def _each(work: Callable[[Any], Any], items: Iterable[Any], threads: int) -> Iterator[Any]:
    """work(item) for each item, in order, computed at most AHEAD items early."""
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
