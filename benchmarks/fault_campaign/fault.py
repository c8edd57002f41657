"""One fault of the campaign, and what came of it."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.fault_campaign.scene import Scene, Stage
from benchmarks.fault_campaign.values import Changes


class Skipped(Exception):
    """A fault that cannot be done on this machine, with the reason."""


@dataclass(frozen=True)
class Fault:
    """What is done, at which moment, to a run that is spread in which way (`where`)."""

    where: str
    what: str
    moment: str
    do: Callable[[Scene], str | None]
    """Does it, and types the command again; returns a remark, or None."""

    @property
    def name(self) -> str:
        return f"{self.where}: {self.what}: {self.moment}"


@dataclass
class Result:
    """What came of a fault. `statuses` are those of the commands, one after the other."""

    fault: Fault
    changes: Changes | None
    statuses: list[int] = field(default_factory=list)
    seconds: float = 0.0
    lost: float = 0.0
    sentences: list[str] = field(default_factory=list)
    remark: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing of the promise was broken; also of what was skipped."""
        over = not self.statuses or self.statuses[-1] == 0
        return over and not self.changes and not self.remark.startswith("BROKEN")

    def cells(self) -> list[str]:
        """The columns of the table."""
        if self.changes is None:
            return [self.fault.where, self.fault.what, self.fault.moment, "-", "-", "-",
                    self.remark]  # fmt: skip
        changed = f"{self.changes.rows} / {self.changes.images} / {self.changes.weights}"
        said = "; ".join(filter(None, [self.remark, *self.sentences[:2]]))
        if self.changes.parts or self.changes.partial:
            said = f"BROKEN: {self.changes.parts} tables of parts differ, {self.changes.partial} \
half-written files are left; {said}"
        return [self.fault.where, self.fault.what, self.fault.moment, changed,
                f"{self.lost:.0f}", ", ".join(map(str, self.statuses)), said[:330]]  # fmt: skip


def suffer(fault: Fault, stage: Stage, scene: Scene) -> Result:
    """Does a fault to a run in a folder of its own, and compares what came of it."""
    began = time.monotonic()
    try:
        remark = fault.do(scene) or ""
        result = Result(fault, scene.changes(), [said.status for said in scene.said])
    except Skipped as skipped:
        return Result(fault, None, remark=f"skipped: {skipped}")
    except (TimeoutError, AssertionError) as error:
        result = Result(fault, scene.changes(), [said.status for said in scene.said])
        remark = f"BROKEN: {error}"
    finally:
        scene.end()
    result.remark, result.sentences = remark, scene.sentences()
    result.seconds = time.monotonic() - began
    result.lost = sum(said.seconds for said in scene.said) - scene.undisturbed
    shutil.rmtree(scene.root, ignore_errors=True)
    return result
