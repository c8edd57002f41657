"""Hands out what is drawn once wherever a checkpoint's queue asks for it."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from lycoris_bench.planning.jobs import Job

Drawn = tuple[Any, bool]  # pixels, and whether all of them were finite


class Queue:
    """A checkpoint's queue, in which an image that is drawn once may stand several times."""

    def __init__(self, queue: list[Job]) -> None:
        self.waiting, self.to_come = deque(queue), Counter(job.uid for job in queue)
        self.passed: set[str] = set()
        self.held: dict[str, Drawn] = {}

    def after(
        self, batch: list[Job], drawn: dict[str, Drawn]
    ) -> Iterator[tuple[Job, Drawn | None]]:
        """The jobs whose turn has come with a batch, in the queue's order, with what was drawn of
        each; None where it was not."""
        self.passed.update(job.uid for job in batch)
        for uid, (image, good) in drawn.items():  # a copy does not keep the whole batch in memory
            self.held[uid] = (image.copy() if self.to_come[uid] > 1 else image, good)
        while self.waiting and self.waiting[0].uid in self.passed:
            job = self.waiting.popleft()
            self.to_come[job.uid] -= 1
            last = not self.to_come[job.uid]
            yield job, self.held.pop(job.uid, None) if last else self.held.get(job.uid)
