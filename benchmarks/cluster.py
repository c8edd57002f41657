"""How long would the paper's study take on 1, 8, 64 and 512 GPUs, and what would hold it up?

    python -m benchmarks.cluster [--gpus 1 8 64 512] [--failures 0.002] [--figure FILE.svg]

Simulated: the items are those of `lycoris-bench run package:configs/paper.toml --launcher ray`, and
what hands them out, hears of them and stores what comes back is the driver's own code
(run/ray_workers.py). In the place of Ray stands a clock that jumps from message to message: a
worker takes as long as its item has steps and images, at the rates below, sends its signs of life,
its files and its end, and is lost at a stated rate an hour. The driver's own time is measured while
it runs here and passes on that clock too, with a cost for each of Ray's calls, and a disk and a
network of stated speed: where the driver is too slow, workers wait for it.

`efficiency` is the shortest time possible divided by the time taken. Shortest: no schedule can do
better than to share, from each moment on, all that cannot begin before it among all GPUs, nor end
before the longest training and what follows it. `busy`: the share of the GPUs' time that was work.
"""

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import status as paper
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import cluster, ray_workers
from lycoris_bench.run.cluster import About, Cluster
from lycoris_bench.run.executor import Item, Queue
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.run.ray_worker import BEAT, File, Over, Steps
from lycoris_bench.run.store import Store
from lycoris_bench.stages.fine_tuning import train_run
from lycoris_bench.stages.joining import join
from lycoris_bench.stages.run import draw_and_score, items_of
from lycoris_bench.stages.train import weights_of
from lycoris_bench.study.load import load


@dataclass(frozen=True)
class World:
    """Rates of one GPU, and of what lies between it and the driver's disk."""

    steps: float = 7.0  # a second, of training
    images: float = 4.0  # a second, drawn and scored
    start: float = 60.0  # seconds until a worker has loaded its networks
    joins: float = 60.0  # seconds to join a checkpoint's parts
    merge: float = 2.0  # seconds to merge a checkpoint
    failures: float = 0.002  # a worker is lost so often an hour: once in three weeks
    call: float = 0.001  # seconds of the driver for each of Ray's calls
    disk: float = 500e6  # bytes a second that the driver stores
    sync: float = 0.005  # seconds of the driver's disk for each file
    weights: float = 20e6  # bytes of a checkpoint and of a training's state, on average
    features: float = 4096 * 4  # bytes of an image, of all encoders that a whole set needs
    sample: float = 150e3  # bytes of a set's first image, which is kept
    rows: float = 100e3  # bytes of a table of rows


class Clock:
    """Seconds since the beginning; what the driver itself takes here is added as it passes."""

    def __init__(self) -> None:
        self.jumped, self.began = 0.0, time.process_time()

    def now(self) -> float:
        return self.jumped + time.process_time() - self.began

    def wait_until(self, moment: float) -> None:
        self.jumped += max(0.0, moment - self.now())

    def spend(self, seconds: float) -> None:
        self.jumped += seconds


class Lost(Exception):
    """What Ray raises of a worker that is lost."""


class Exceptions:
    RayError = Lost


@dataclass(eq=False)
class Reference:
    """A value that is there from some moment on."""

    value: Any
    at: float = 0.0


@dataclass(eq=False)
class Stream:
    """The messages of an item, each with the moment from which it is there."""

    messages: Iterator[tuple[float, Any]]
    waiting: int = 0
    ahead: tuple[float, Any] = (0.0, None)

    def __post_init__(self) -> None:
        self.ahead = next(self.messages)

    @property
    def at(self) -> float:
        return self.ahead[0]

    def __next__(self) -> Reference:
        moment, value = self.ahead
        self.ahead = next(self.messages, (float("inf"), None))
        return Reference(value, moment)


@dataclass
class SimulatedRay:
    """The calls of Ray that the driver makes."""

    world: World
    gpus: int
    clock: Clock
    random: random.Random
    exceptions: type = Exceptions
    worked: float = 0.0  # seconds of GPUs in work, also in what was lost
    lost: int = 0
    calls: int = 0
    actors: list["Actor"] = field(default_factory=list)

    def _called(self) -> None:
        self.calls += 1
        self.clock.spend(self.world.call)

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> Mapping[str, float]:
        return {"CPU": self.gpus, "GPU": self.gpus}

    def put(self, value: Any) -> Reference:
        self._called()
        return Reference(value)

    def get(self, reference: Reference) -> Any:
        self._called()
        if isinstance(reference.value, Lost):
            raise reference.value
        return reference.value

    def kill(self, actor: "Actor") -> None:
        self._called()

    def wait(
        self, waiting: Sequence[Any], num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[Any], list[Any]]:
        self._called()
        first = min(one.at for one in waiting)
        self.clock.wait_until(min(first, self.clock.now() + (timeout or 0.0)))
        now = self.clock.now()
        there = [one for one in waiting if one.at <= now][:num_returns]
        return there, [one for one in waiting if one not in there] if num_returns == 1 else []

    def remote(self, _: type) -> "Hiring":
        return Hiring(self)


@dataclass
class Hiring:
    ray: SimulatedRay

    def options(self, **_: Any) -> "Hiring":
        return self

    def remote(self, *_: Any) -> "Actor":
        self.ray._called()
        return Actor(self.ray, f"node-{len(self.ray.actors)}")


class Actor:
    """A worker: what it does is `Hiring`'s method `run`, with the form of Ray's."""

    def __init__(self, ray: SimulatedRay, node: str) -> None:
        self.ray, self.node = ray, node
        ray.actors.append(self)
        self.dies = ray.clock.now() + ray.random.expovariate(ray.world.failures / 3600 or 1e-12)
        self.about, self.run, self.close = (Call(self, name) for name in ("about", "run", "close"))


@dataclass
class Call:
    actor: Actor
    name: str

    def options(self, **_: Any) -> "Call":
        return self

    def remote(self, *given: Any) -> Any:
        ray = self.actor.ray
        ray._called()
        if self.name == "about":
            about = About.here(self.actor.node)
            return Reference(about, ray.clock.now() + ray.world.start)
        if self.name == "close":
            return Reference(None)
        return Stream(self._messages(given[0]))

    def _messages(self, item: Item) -> Iterator[tuple[float, Any]]:
        ray, began = self.actor.ray, self.actor.ray.clock.now()
        ends = began + seconds(item, ray.world)
        marks = {began + at * (ends - began): path for at, path in marked(item)}
        beats = itertools.takewhile(lambda at: at < ends, itertools.count(began + BEAT, BEAT))
        steps = 0.0
        for moment in sorted([*beats, *marks]):
            if moment >= self.actor.dies:
                break
            share = item.steps * (moment - began) / (ends - began)
            yield moment, Steps(share - steps)
            steps = share
            if moment in marks:
                yield moment, file(marks[moment], ray.world.weights)
        if self.actor.dies < ends:
            ray.lost += 1
            ray.worked += max(0.0, self.actor.dies - began)
            yield self.actor.dies, Lost("the node died")
            return
        ray.worked += ends - began
        for size in files(item, ray.world):
            yield ends, file(Path("run", item.name), size)
        yield ends, Over(None, None, False)


def seconds(item: Item, world: World) -> float:
    """How long an item takes on one GPU."""
    if item.work is train_run:
        left = 1 - before(item) / item.arguments[2][-1].epoch
        return left * item.steps / world.steps
    if item.work is draw_and_score:
        return world.merge + item.steps / world.images
    return world.joins


def marked(item: Item) -> list[tuple[float, Path]]:
    """The files that others wait for, and after which share of the item they are there: after a
    loss it goes on after its last checkpoint that is stored."""
    if item.work is not train_run:
        return []
    lacking = item.arguments[2]
    begins, ends = before(item), lacking[-1].epoch
    names = {weights_of(c): c.epoch for c in lacking}
    return [
        ((names[name] - begins) / (ends - begins), path)
        for path, name in item.marks.items()
        if name in names
    ]


def before(item: Item) -> int:
    """The epoch after which a training goes on."""
    stored = len(item.marks) - len(item.arguments[2])
    epochs = [int(path.stem.rpartition("-")[2]) for path in item.marks]
    return epochs[stored - 1] if stored else 0


def file(path: Path, size: float) -> File:
    """A file that says how large it would be."""
    return File(path, int(size).to_bytes(8, "big"))


def files(item: Item, world: World) -> list[float]:
    """The sizes of the files that an item sends at its end."""
    if item.work is train_run:
        return []
    if item.work is draw_and_score and item.arguments[3] is not None:
        return [item.steps * world.features, world.rows, *[world.sample] * 10]
    return [world.rows]


def simulated(items: Sequence[Item], gpus: int, world: World) -> dict[str, float]:
    """What the driver and so many GPUs do with the items."""
    clock = Clock()
    ray = SimulatedRay(world, gpus, clock, random.Random(gpus))
    stored = [0.0]

    def store(path: Path, data: bytes) -> Path:
        size = int.from_bytes(data, "big")
        stored[0] += size
        clock.spend(world.sync + size / world.disk)
        return path

    class Time:
        monotonic = staticmethod(clock.now)

        @staticmethod
        def sleep(wanted: float) -> None:
            clock.spend(wanted)

    with ExitStack() as changed:
        for target, name, value in (
            (cluster, "library", lambda: ray), (ray_workers, "library", lambda: ray),
            (ray_workers, "time", Time), (ray_workers.disk, "write", store),
        ):  # fmt: skip
            changed.enter_context(patch.object(target, name, value))
        changed.enter_context(patch("lycoris_bench.run.ray_seat.time", Time))
        changed.enter_context(patch("lycoris_bench.run.bundles._now", lambda places: {}))
        used = Cluster("simulated")
        with ray_workers.RayWorkers(used, len(items), ["cuda"], lambda _: None, False) as crew:
            failed = [result for result in crew.each(Queue(list(items))) if result[2]]
    took, driver = clock.now(), time.process_time() - clock.began
    least = shortest(items, gpus, world)
    return {
        "gpus": gpus, "hours": took / 3600, "least": least / 3600, "efficiency": least / took,
        "busy": ray.worked / gpus / took, "lost": ray.lost, "failed": len(failed),
        "driver": driver / took, "calls": ray.calls, "GB": stored[0] / 1e9,
    }  # fmt: skip


def shortest(items: Sequence[Item], gpus: int, world: World) -> float:
    """No schedule is shorter: what can begin at a moment or later, shared by all GPUs from then on,
    or the longest chain of items that wait for one another."""
    begins: dict[str, float] = {}
    by_name = {item.name: item for item in items}
    ready = {
        name: (item.name, at * seconds(item, world))
        for item in items
        for at, path in marked(item)
        for name in [item.marks[path]]
    }

    def begin(name: str) -> float:
        if name not in begins:
            begins[name] = max(map(end, by_name[name].after), default=world.start)
        return begins[name]

    def end(name: str) -> float:
        if name in ready:
            training, after = ready[name]
            return begin(training) + after
        return begin(name) + seconds(by_name[name], world)

    ordered = sorted(items, key=lambda item: begin(item.name), reverse=True)
    longest, work = max(end(item.name) for item in items), 0.0
    for item in ordered:
        work += seconds(item, world)
        longest = max(longest, begin(item.name) + work / gpus)
    return longest


def work_of_paper(folder: Path) -> list[Item]:
    """All items of the paper's study, from nothing."""
    paper.dataset(folder / "dataset")
    asked: Plan = plan(load(paper.STUDY, paper.overrides(folder)))
    options = Options(device="cuda", cluster=Cluster("simulated"), workers=0)
    store = Store(folder / "run")
    return items_of(asked, store, Status(asked, store), options, Outcome())


COLUMNS = {
    "gpus": ("GPUs", "{:.0f}"), "hours": ("hours", "{:.2f}"), "least": ("shortest", "{:.2f}"),
    "efficiency": ("efficiency", "{:.1%}"), "busy": ("busy", "{:.0%}"),
    "lost": ("workers lost", "{:.0f}"), "failed": ("items failed", "{:.0f}"),
    "driver": ("driver's CPU", "{:.1%}"), "GB": ("GB stored", "{:.0f}"),
}  # fmt: skip


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def drawn(found: Sequence[Mapping[str, float]], file: Path) -> None:
    """Hours against GPUs, and the shortest possible."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.5, 3.2), layout="constrained")
    gpus = [one["gpus"] for one in found]
    axes.loglog(gpus, [one["hours"] for one in found], "o-", label="simulated")
    axes.loglog(gpus, [one["least"] for one in found], "k--", lw=1, label="shortest possible")
    for one in found:
        axes.annotate(
            f"{one['hours']:.1f} h, {one['efficiency']:.0%}", (one["gpus"], one["hours"]),
            xytext=(6, 6), textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.set(xlabel="GPUs", ylabel="hours", title="The paper's study, from nothing")
    axes.margins(x=0.25, y=0.2)
    axes.legend(frameon=False)
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--failures", type=float, default=World.failures)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    world = World(failures=given.failures)
    with tempfile.TemporaryDirectory() as folder:
        items = work_of_paper(Path(folder))
        counts = {work.__name__: sum(i.work is work for i in items)
                  for work in (train_run, draw_and_score, join)}  # fmt: skip
        print(f"{world}\n{counts}, the longest training takes "
              f"{max(seconds(item, world) for item in items) / 3600:.2f} h\n")  # fmt: skip
        print(row([title for title, _ in COLUMNS.values()]), row(["--:"] * len(COLUMNS)), sep="\n")
        found = []
        for gpus in given.gpus:
            found.append(simulated(items, gpus, world))
            print(row([f.format(found[-1][c]) for c, (_, f) in COLUMNS.items()]), flush=True)
    if given.figure:
        drawn(found, given.figure)


if __name__ == "__main__":
    main()
