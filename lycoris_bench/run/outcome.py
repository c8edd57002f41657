"""The four stages by name, their options and their outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field

STAGES = ("train", "generate", "score", "analyze")
Progress = Callable[[str, int, int], None]
"""`progress(stage, steps done since the last call, steps in all)`, which a stage calls."""


@dataclass
class Outcome:
    """What a stage did.

    `done`: the number of items (checkpoints, images or scores) it made; `skipped`: of those that
    were there already; `failed` and `warnings`: item -> what is said of it; `status`: the exit
    status of the command."""

    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Exit status: 1 if an item failed, else 0."""
        return 1 if self.failed else 0


@dataclass(frozen=True)
class Options:
    """Where and with how many processes a stage runs. None of these changes a result."""

    device: str = "cpu"
    workers: int = 1
    progress: Progress | None = None
    debug: bool = False
