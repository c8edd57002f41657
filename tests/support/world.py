"""A study so small that a test can run the whole line: two toys, two adapters, two epochs."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run import outcome
from lycoris_bench.run.store import Store
from lycoris_bench.stages.analyze import analyze
from lycoris_bench.stages.generate import generate
from lycoris_bench.stages.score import score
from lycoris_bench.stages.train import train
from lycoris_bench.study import load as studies
from lycoris_bench.study.load import Study

STAGES = {"train": train, "generate": generate, "score": score, "analyze": analyze}
HERE = outcome.Options()
TABLE: dict[str, Any] = {
    "name": "tiny",
    "base_model": "package:miniature/weights/base",
    "dataset": "package:miniature/dataset",
    "heldout": "package:miniature/heldout",
    "prompts": "package:prompts/miniature",
    "concepts": ["toys/bunny", "toys/lobster"],
    "epochs": [1, 2],
    "training": {
        "resolution": 32, "bucket_step": 8, "bucket_min": 24, "bucket_max": 48, "batch_size": 4,
        "images_per_class": 2, "warmup_epochs": 1, "max_tokens": 60,
    },
    "sampling": {"images": 2, "steps": 2, "guidance": 4.0, "width": 32, "height": 32},
    "scoring": {"encoders": ["miniature-image", "miniature-image-text", "miniature-gram"]},
    "algorithms": {"lora": {"lr": 2e-3, "dim": 4, "alpha": 2}, "lokr": {"lr": 2e-3, "factor": 4}},
}  # fmt: skip


def table(**changes: Any) -> dict[str, Any]:
    """The tiny study's table; a change of a table is merged into it."""
    changed = {k: dict(v) if isinstance(v, dict) else v for k, v in TABLE.items()}
    for key, value in changes.items():
        if isinstance(value, dict) and key != "algorithms":
            value = {**changed.get(key, {}), **value}
        changed[key] = value
    return changed


def tiny(**changes: Any) -> Study:
    return studies.parse(table(**changes))


def run(
    work: Plan | Study, store: Store, stages: tuple[str, ...] = tuple(STAGES)
) -> dict[str, outcome.Outcome]:
    """The stages in this process, one after the other."""
    asked = work if isinstance(work, Plan) else plan(work)
    return {name: STAGES[name](asked, store, HERE) for name in stages}


def killed(work: Callable[[], Any]) -> int:
    """Runs `work` in a forked child; the signal that ended it (0: it ended by itself)."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


class Dying(Store):
    """A store whose process is killed (SIGKILL) inside the write of number `fatal`: the temporary
    file is there, the real one is not."""

    def __init__(self, root: Path, fatal: int) -> None:
        super().__init__(root)
        self.left = fatal

    def write(self, path: Path, data: bytes | str) -> Path:
        if self.left == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            half = data[: len(data) // 2]
            part = path.with_name(f"{path.name}.0.part")
            part.write_bytes(half.encode() if isinstance(half, str) else half)
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return super().write(path, data)
