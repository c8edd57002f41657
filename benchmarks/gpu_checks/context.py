"""What the checks share: the log, the device, models with random weights, times and peaks."""

import gc
import os
import statistics
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lycoris_bench.models.backbone import Backbone
from tests.support.random_models import parts

FLOP = 42.7e12  # of an image of Stable Diffusion 1.5: 25 guided steps, and its decoding


class Skipped(Exception):
    """A check that this machine cannot make, with the reason."""


class Check(NamedTuple):
    """Its name, about how many seconds it takes on one H100, and what yields its lines."""

    name: str
    seconds: float
    work: "Callable[[Context], Iterator[str]]"


class Log:
    """Prints lines with the seconds since the start, and appends them to a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.started, self.counts = path, time.monotonic(), Counter[str]()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def say(self, name: str, text: str) -> None:
        """One line."""
        line = f"[{self.elapsed:4.0f} s] {name}: {text}"
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def stop(self, seconds: float) -> None:
        """Ends the process, whatever it does."""
        self.say("done", f"stopped after {seconds:.0f} s; {dict(self.counts)}; {self.path}")
        os._exit(1)


class Context:
    """Where the checks run, at which size, and the models they share."""

    def __init__(self, device: str, narrow: bool, log: Log) -> None:
        self.device, self.narrow, self.log = device, narrow, log
        self.cuda = device.startswith("cuda")
        self.size, self.batch, self.steps = (64, 2, 2) if narrow else (512, 8, 25)
        self.rate = 0.0  # of half-precision matrix products, FLOP/s, once `machine` knows it
        self.half = torch.float16 if self.cuda else torch.float32  # to draw in
        self.not_finite = 0  # images that were drawn and are none
        self._shared: dict[Any, Backbone] = {}

    def share(self, images: float) -> str:
        """A rate of images as a share of what products of matrices could do, once it is known; at
        full width alone."""
        if not self.rate or self.narrow:
            return ""
        return f", {images * FLOP / self.rate:.1%} of the rate of matrix products"

    def needs_cuda(self) -> None:
        """Skipped: there is no GPU."""
        if not self.cuda:
            raise Skipped("needs CUDA")

    def backbone(
        self, dtype: torch.dtype = torch.float32, family: str = "sd15", narrow: bool | None = None
    ) -> Backbone:
        """A new base model with random weights, the same each time."""
        torch.manual_seed(0)
        with torch.device(self.device):
            made = parts(family, self.narrow if narrow is None else narrow)
        scheduler = type(made.scheduler).from_config(made.scheduler.config)  # on the CPU
        return Backbone.of(made._replace(scheduler=scheduler), self.device, dtype)

    def shared(self, dtype: torch.dtype = torch.float32) -> Backbone:
        """A base model that several checks use and none of them changes for good."""
        if dtype not in self._shared:
            self._shared[dtype] = self.backbone(dtype)
        return self._shared[dtype]

    def wait(self) -> None:
        """Until the device has done all that it was told."""
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any], rounds: int = 3) -> float:
        """The median time of `work`, after one call that is not counted."""
        work()
        return statistics.median(self.timed(work)[1] for _ in range(rounds))

    def timed(self, work: Callable[[], Any]) -> tuple[Any, float]:
        """What `work` returns, and its seconds."""
        self.wait()
        start = time.perf_counter()
        made = work()
        self.wait()
        return made, time.perf_counter() - start

    def peak(self, work: Callable[[], Any]) -> tuple[Any, float]:
        """What `work` returns, and the most GiB that torch had allocated meanwhile."""
        if not self.cuda:
            return work(), 0.0
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        made = work()
        return made, torch.cuda.max_memory_allocated() / 2**30


def perform(check: Check, context: Context) -> None:
    """Runs one check and says how it ended."""
    log, begun = context.log, context.log.elapsed
    try:
        for line in check.work(context):
            log.say(check.name, line)
    except Skipped as why:
        log.counts["skipped"] += 1
        log.say(check.name, f"skipped: {why}")
    except Exception as error:
        log.counts["failed"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:300]
        log.say(check.name, f"FAILED: {type(error).__name__}: {said} "
                            f"({Path(where.filename).name}:{where.lineno})")  # fmt: skip
    else:
        log.counts["passed"] += 1
        log.say(check.name, f"passed in {log.elapsed - begun:.1f} s")
    gc.collect()
    if context.cuda:
        torch.cuda.empty_cache()


def that(holds: bool, otherwise: str) -> None:
    """AssertionError with a sentence, unless it holds; also where Python leaves out `assert`."""
    if not holds:
        raise AssertionError(otherwise)
