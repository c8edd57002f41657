"""Workers on the machines of a Ray cluster, as they are seen from the machine that holds the run
folder: the only one that reads and writes it."""

import contextlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import explained
from lycoris_bench.run.bundles import Bundles
from lycoris_bench.run.cluster import About, Cluster, library
from lycoris_bench.run.executor import Item, Queue, Result
from lycoris_bench.run.last_words import last_words
from lycoris_bench.run.mirror import PACKAGE
from lycoris_bench.run.ray_cause import cause
from lycoris_bench.run.ray_seat import Seat
from lycoris_bench.run.ray_worker import File, Message, Over, RayWorker, Steps

ATTEMPTS = 3  # times that an item is begun, whose worker is lost or whose machine is at fault
SILENCE = 120.0  # seconds without a sign of life after which a worker counts as lost
LOOK = 2.0  # seconds between two looks at what the cluster has room for
CLOSING = 5.0  # seconds that idle workers have to remove their files
AHEAD = 4  # messages of a worker that may wait to be read; it stops until there are fewer
HEAD_LOST = (
    "error: the process of this command was ended from outside: it was killed, or the head of the "
    "cluster was lost, with which Ray ends it; what is done is kept. To continue, type the same "
    "command once a cluster is there, or without --launcher"
)
PASSED_ON = ("HF_HOME", "HF_HUB_OFFLINE", "LYCORIS_BENCH_PLUGINS")  # variables of the environment


class RayWorkers:
    """At most so many workers, as the machines have room for them. What one that is lost had in its
    hands is done again by another."""

    def __init__(
        self,
        cluster: Cluster,
        most: int,
        devices: Sequence[str],
        tell: Callable[[float], None],
        debug: bool,
    ) -> None:
        self.cluster, self.most, self.tell, self.debug = cluster, most, tell, debug
        self.device = "cuda" if devices and devices[0].startswith("cuda") else "cpu"
        self.here = About.here()
        self.seats: list[Seat] = []
        self.attempts: Counter[str] = Counter()
        self.failed_at: defaultdict[str, set[str]] = defaultdict(set)  # item -> machines
        self.not_started: list[str] = []  # why workers could not start
        self.looked = 0.0

    def __enter__(self) -> Self:
        self.cluster.connect()
        self.ray = library()
        self.bundles = Bundles(self.ray)
        self.watched = contextlib.ExitStack()
        self.watched.enter_context(last_words(HEAD_LOST))
        return self

    def __exit__(self, *ended: Any) -> None:
        self.watched.callback(self._close)  # before the watch is over
        self.watched.__exit__(*ended)

    def each(self, queue: Queue) -> Iterator[Result]:
        """Runs the items of the queue; yields their results as they come."""
        while queue.waiting or any(seat.item for seat in self.seats):
            self._enlarge(queue)
            if not any(not seat.barred for seat in self.seats) and self._is_full():
                said = "; ".join(dict.fromkeys([*self.cluster.notes, *self.not_started]))
                left = queue.waiting.pop(0)
                yield from queue.over((left.name, None, f"no machine can do it: {said}"))
                continue
            for seat in self.seats:
                if seat.is_free and (item := queue.next(partial(self._suits, seat))):
                    yield from self._begin(seat, item, queue)
            for seat in self._ready():
                yield from self._hear(seat, queue)

    def _close(self) -> None:
        """Lets idle workers remove their files, and ends all."""
        closed = [seat.actor.close.remote() for seat in self.seats if seat.item is None]
        if closed:
            self.ray.wait(closed, num_returns=len(closed), timeout=CLOSING)
        for seat in self.seats:
            self._dismiss(seat)

    # ---- who works

    def _enlarge(self, queue: Queue) -> None:
        """Adds workers while there is room and work for them."""
        if self.seats and time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        idle = sum(seat.item is None and not seat.barred for seat in self.seats)
        for _ in range(min(self._room(), queue.startable() - idle)):
            self.seats.append(self._hired())

    def _room(self) -> int:
        """How many more workers there may be."""
        if len(self.not_started) >= ATTEMPTS:
            return 0
        working = sum(not seat.barred for seat in self.seats)
        return min(self.most - working, self.cluster.room(self.device) - len(self.seats))

    def _is_full(self) -> bool:
        return bool(self.seats or self.not_started) and self._room() <= 0

    def _suits(self, seat: Seat, item: Item) -> bool:
        """Whether an item may begin there: not where it failed for a fault of the machine, if there
        is another."""
        there = {s.node for s in self.seats if s.about and not s.barred}
        failed = self.failed_at[item.name]
        return seat.node not in failed or there <= failed

    def _hired(self) -> Seat:
        needs = self.cluster.needs(self.device)
        actor = self.ray.remote(RayWorker).options(
            num_cpus=needs.pop("CPU"), num_gpus=needs.pop("GPU", 0), resources=needs or None,
        )  # fmt: skip
        variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        worker = actor.remote(self.device, PACKAGE, variables)
        return Seat(worker, worker.about.remote())

    def _dismiss(self, seat: Seat) -> None:
        self.ray.kill(seat.actor)

    # ---- what they do

    def _begin(self, seat: Seat, item: Item, queue: Queue) -> Iterator[Result]:
        try:
            own, shared = self.bundles.own(item.reads), self.bundles.shared(item.shares)
        except disk.FileError as error:
            yield from queue.over((item.name, None, explained(error)))
            return
        lacking = [bundle for bundle in shared if bundle not in seat.has]
        seat.has.update(lacking)
        moved = replace(item, arguments=tuple(map(self.bundles.argument, item.arguments)))
        self.attempts[item.name] += 1
        stream = seat.actor.run.options(
            num_returns="streaming", _generator_backpressure_num_objects=AHEAD
        )
        sent = [bundle.reference for bundle in (*lacking, *own)]
        seat.item, seat.error, seat.heard = item, None, time.monotonic()
        seat.stream = stream.remote(moved, sent, self.debug)

    def _ready(self) -> list[Seat]:
        """The workers of which something was heard, or nothing for too long."""
        waiting = {seat.waits_for: seat for seat in self.seats if seat.waits_for is not None}
        if not waiting:
            time.sleep(0.1)
            return []
        heard, _ = self.ray.wait(list(waiting), num_returns=1, timeout=LOOK)
        if heard:
            heard, _ = self.ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        found = [waiting[reference] for reference in heard]
        now = time.monotonic()
        silent = (s for s in waiting.values() if s.item and now - s.heard > SILENCE)
        return [*found, *(seat for seat in silent if seat not in found)]

    def _hear(self, seat: Seat, queue: Queue) -> Iterator[Result]:
        silent = time.monotonic() - seat.heard
        try:
            if seat.about is None:
                self._greet(seat)
                return
            if silent > SILENCE and not self._has_sent(seat):
                yield from self._lost(seat, queue, f"it gave no sign of life for {silent:.0f} s")
                return
            message: Message = self.ray.get(next(seat.stream))
        except (self.ray.exceptions.RayError, StopIteration) as error:
            yield from self._lost(seat, queue, cause(error))
            return
        seat.heard = time.monotonic()
        if isinstance(message, Steps):
            self.tell(message.count)
        elif isinstance(message, File):
            self._store(seat, message)
            if message.data is not None and not seat.error and seat.item:
                queue.done.update(filter(None, [seat.item.marks.get(message.path)]))
        else:
            yield from self._over(seat, message, queue)

    def _has_sent(self, seat: Seat) -> bool:
        return bool(self.ray.wait([seat.stream], timeout=0)[0])

    def _greet(self, seat: Seat) -> None:
        seat.about = self.ray.get(seat.greeting)
        self.not_started.clear()
        if unlike := seat.about.unlike(self.here):
            self._bar(seat, unlike)

    def _bar(self, seat: Seat, why: str) -> None:
        seat.barred = True
        if why not in self.cluster.notes:
            self.cluster.notes.append(why)

    def _store(self, seat: Seat, file: File) -> None:
        """Does in the run folder what a worker did in its mirror of it."""
        self.bundles.changed(file.path)
        seat.has -= {bundle for bundle in seat.has if file.path in bundle.stamps}
        try:
            if file.data is None:
                file.path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it is not empty
                    file.path.parent.rmdir()
            elif not seat.error:
                disk.write(file.path, file.data)
        except (disk.FileError, OSError) as error:
            seat.error = explained(error)

    def _over(self, seat: Seat, message: Over, queue: Queue) -> Iterator[Result]:
        item, seat.item, seat.stream = seat.item, None, None
        assert item
        error = seat.error or message.error
        if not message.elsewhere or seat.error:
            seat.faults = 0
            yield from queue.over((item.name, message.result, error))
            return
        self.failed_at[item.name].add(seat.node)
        seat.faults += 1
        if seat.faults >= ATTEMPTS:
            self._bar(seat, f"{seat.host} gets no more work: {error}")
        if self.attempts[item.name] < ATTEMPTS:
            self.cluster.notes.append(
                f"{seat.host} could not do {item.name}: {error}; it began again"
            )
            queue.again(item)
        else:
            yield from queue.over((item.name, None, f"{error} (on {seat.host})"))

    def _lost(self, seat: Seat, queue: Queue, why: str) -> Iterator[Result]:
        """Goes on without a worker; its item begins again with another."""
        self._dismiss(seat)
        self.seats.remove(seat)
        if (item := seat.item) is None:
            said = f"a worker could not start: {why}"
            self.not_started.append(said)
            if said not in self.cluster.notes:
                self.cluster.notes.append(said)
            return
        said = f"a worker on {seat.host} was lost while it ran {item.name}: {why}"
        if self.attempts[item.name] < ATTEMPTS:
            self.cluster.notes.append(f"{said}; it began again")
            queue.again(item)
        else:
            said += f"; so it was {ATTEMPTS} times; run again to continue"
            yield from queue.over((item.name, None, said))
