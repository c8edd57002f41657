"""The options of a stage and its outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[str, int, int], None]
"""`progress(stage, steps done since the last call, steps in all)`, which a stage calls."""


@dataclass
class Outcome:
    """What a stage did: items done, items that were there already, failures and warnings by
    name."""

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
