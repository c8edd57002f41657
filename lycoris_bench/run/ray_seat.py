"""A worker of a cluster, as its driver knows it."""

import time
from dataclasses import dataclass, field
from typing import Any

from lycoris_bench.run.bundles import Bundle
from lycoris_bench.run.cluster import About
from lycoris_bench.run.executor import Item


@dataclass
class Seat:
    """A worker: what it has been sent, and the item that it runs."""

    actor: Any
    greeting: Any  # the reference of its `About`, until that has come
    about: About | None = None
    item: Item | None = None
    stream: Any = None
    has: set[Bundle] = field(default_factory=set)
    heard: float = field(default_factory=time.monotonic)
    error: str | None = None  # of writing what the item sent
    faults: int = 0  # errors of its machine, one after the other
    barred: bool = False  # it gets no work; it keeps its place, so that others are hired elsewhere

    @property
    def waits_for(self) -> Any:
        return self.greeting if self.about is None else self.stream

    @property
    def is_free(self) -> bool:
        return self.about is not None and self.item is None and not self.barred

    @property
    def host(self) -> str:
        return self.about.host if self.about else "?"

    @property
    def node(self) -> str:
        return self.about.node if self.about else ""
