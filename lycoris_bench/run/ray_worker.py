"""A worker process on a machine of a Ray cluster. It shares no file system with the one that holds
the run folder: it is sent what an item reads, and sends what the item writes."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import executor, mirror
from lycoris_bench.run.cluster import About, library
from lycoris_bench.run.executor import Item
from lycoris_bench.run.mirror import Mirror

BEAT = 5.0  # seconds between two signs of life
WAITING = 4  # files that wait to be sent, at most, while an item goes on


@dataclass(frozen=True)
class Steps:
    """So many steps were done since the last message; also a sign of life."""

    count: float


@dataclass(frozen=True)
class File:
    """A file that the item wrote, or, without data, one that it removed."""

    path: Path
    data: bytes | None


@dataclass(frozen=True)
class Over:
    """The end of an item: its result, or the sentence of its error. `elsewhere`: on another machine
    it may succeed."""

    result: Any
    error: str | None
    elsewhere: bool


Message = Steps | File | Over


class RayWorker:
    """Runs one item after the other."""

    def __init__(self, device: str, package: Path, variables: Mapping[str, str]) -> None:
        os.environ.update(variables)
        self.device, self.mirror = device, Mirror(package)
        self.arguments: dict[Any, Any] = {}  # by their reference

    def about(self) -> About:
        return About.here(library().get_runtime_context().get_node_id())

    def run(self, item: Item, sent: Sequence[Any], debug: bool) -> Iterator[Message]:
        """Runs an item with the files in the bundles that were `sent`; yields what happens."""
        ray = library()
        try:
            for bundle in sent:
                self.mirror.receive(ray.get(bundle))
            given = list(mirror.files(map(self.mirror.place, item.reads)))
            item = replace(item, arguments=tuple(map(self._here, item.arguments)))
        except Exception as error:
            yield Over(None, executor.sentence(error, debug), isinstance(error, OSError))
            return
        work = _Work(item, self.device, debug)
        try:
            yield from self._messages(work, given, item.streams)
        finally:
            written = filter(None, map(self.mirror.origin, work.written))
            self.mirror.remove([*item.reads, *written])

    def close(self) -> None:
        self.mirror.close()

    def _here(self, argument: Any) -> Any:
        """An argument, which may be a reference, with its files where they lie on this machine."""
        ray = library()
        if not isinstance(argument, ray.ObjectRef):
            return argument.at(self.mirror.place) if hasattr(argument, "at") else argument
        if argument not in self.arguments:
            self.arguments[argument] = self._here(ray.get(argument))
        return self.arguments[argument]

    def _messages(self, work: "_Work", given: list[Path], streams: bool) -> Iterator[Message]:
        for written in work.files():
            yield Steps(work.taken())
            if streams:
                yield from self._sent(written)
        if not streams:  # each where it was last written, as what marks others as done comes last
            yield from self._sent(list(dict.fromkeys(reversed(work.written)))[::-1])
        for path in dict.fromkeys([*given, *work.written]):
            if not path.exists() and (origin := self.mirror.origin(path)):
                yield File(origin, None)
        yield work.over

    def _sent(self, paths: Sequence[Path]) -> Iterator[Message]:
        for path in paths:
            origin = self.mirror.origin(path)
            if origin and path.is_file():  # else it is no part of the run, or was removed since
                yield File(origin, path.read_bytes())


class _Work:
    """An item that runs in a thread of its own, so that signs of life are sent meanwhile."""

    def __init__(self, item: Item, device: str, debug: bool) -> None:
        self.item, self.device, self.debug = item, device, debug
        self.written: list[Path] = []
        self.over = Over(None, "it did not end", False)
        self._told: queue.Queue[Path | None] = queue.Queue(WAITING if item.streams else 0)
        self._steps, self._lock = 0.0, threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def files(self) -> Iterator[list[Path]]:
        """The files that were written since the last time, at least once every BEAT seconds, until
        the item is over."""
        last = time.monotonic()
        found: list[Path] = []
        while True:
            with contextlib.suppress(queue.Empty):
                if (path := self._told.get(timeout=BEAT)) is None:
                    yield found
                    return
                found.append(path)
            if self.item.streams or time.monotonic() - last >= BEAT:
                yield found
                last, found = time.monotonic(), []

    def taken(self) -> float:
        """The steps that were counted since the last call."""
        with self._lock:
            steps, self._steps = self._steps, 0.0
        return steps

    def _run(self) -> None:
        executor.follow(self._count, self._wrote)
        try:
            self.over = Over(executor.perform(self.item, [self.device]), None, False)
        except Exception as error:
            said = executor.sentence(error, self.debug)
            self.over = Over(None, said, _of_machine(error))
            executor.free_gpu(error)
        self._told.put(None)

    def _count(self, steps: float) -> None:
        with self._lock:
            self._steps += steps

    def _wrote(self, path: Path) -> None:
        self.written.append(path)
        self._told.put(path)


def _of_machine(error: BaseException) -> bool:
    """Whether an error is of this machine, so that another may do better."""
    if isinstance(error, BenchError):
        return error.of_machine
    return (
        isinstance(error, OSError | MemoryError) or type(error).__name__ == executor.OUT_OF_MEMORY
    )
