"""What a stage is told, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[str, int, int], None]
"""`progress(what, steps done by this call, steps in all)`: how a stage tells how far it is."""


@dataclass
class Outcome:
    """What a stage did: items made, items that were there already, and failures by name."""

    done: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Exit status: 1 if something is missing or failed, else 0."""
        return 1 if self.failed else 0


@dataclass(frozen=True)
class Options:
    """How a stage is run, as against what it makes: none of these can change a result."""

    device: str = "cpu"
    workers: int = 1
    progress: Progress | None = None
    debug: bool = False
