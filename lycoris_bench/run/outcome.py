"""The four stages by name, their options and their outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from lycoris_bench.run import environment
from lycoris_bench.run.cluster import Cluster

STAGES = ("train", "generate", "score", "analyze")
WHOLE = "run"  # all stages as one
Progress = Callable[[str, float, float], None]
"""`progress(stage, steps done since the last call, steps in all)`, which a stage calls. Of `run` a
step is a pass of the U-Net."""


class Launcher(StrEnum):
    """Where worker processes run."""

    LOCAL = "local"
    RAY = "ray"


class KeepImages(StrEnum):
    """What `run` keeps of a scored checkpoint's images. A sample is the first of each set, and what
    the report shows."""

    ALL = "all"
    SAMPLE = "sample"
    NONE = "none"


class KeepCheckpoints(StrEnum):
    """Which weights `run` keeps once all that they draw is scored; "last": those of the last epoch
    of each configuration and seed."""

    ALL = "all"
    LAST = "last"
    NONE = "none"


@dataclass
class Outcome:
    """What a stage did.

    `done`: the number of items (checkpoints, images, scores or reports) it made; `skipped`: of
    those that were there already; `failed` and `warnings`: item -> what is said of it; `status`:
    the exit status of the command. `run`, which counts checkpoints, says of the report whether it
    was written."""

    done: int = 0
    skipped: int = 0
    reported: bool = False
    failed: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Exit status: 1 if an item failed, else 0."""
        return 1 if self.failed else 0


@dataclass(frozen=True)
class Options:
    """Where a stage runs and with how many processes, what it makes and what it keeps. None of
    these changes a number. With a `cluster`, `workers` is the most that run there, 0 no limit.

    `train` and `generate` leave out what only scored checkpoints lack, unless `also_scored`.
    `keep_images` and `keep_checkpoints` are for `run`: what it keeps of the images and weights that
    it made, once they are scored."""

    device: str = "cpu"
    workers: int = 1
    cluster: Cluster | None = None
    progress: Progress | None = None
    debug: bool = False
    also_scored: bool = False
    keep_images: str = KeepImages.SAMPLE
    keep_checkpoints: str = KeepCheckpoints.ALL

    @property
    def devices(self) -> list[str]:
        """The devices that local workers take in turn, or the one of each worker of a cluster."""
        return [self.device] if self.cluster else environment.devices(self.device)
