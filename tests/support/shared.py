"""What takes seconds to make and several files of tests use: made once a test run, by whichever
process of it asks first."""

import fcntl
import functools
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.data import dataset, heldout
from lycoris_bench.models import hub
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.outcome import Outcome
from lycoris_bench.run.store import Store
from lycoris_bench.study.places import locate
from tests.support import stable_diffusion
from tests.support.world import run, tiny

BRIEF: dict[str, Any] = {
    "concepts": ["toys/bunny"], "epochs": [1, 2],
    "sampling": {"prompt_types": ["train", "style"], "images": 1, "steps": 1},
    "scoring": {"encoders": ["miniature-image", "miniature-gram"]},
    "algorithms": {"lora": {"lr": 2e-3, "dim": 4, "alpha": 2}},
}  # fmt: skip


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills. It is every test's: copy what is to be changed."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = root / name, root / f"{name}.made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def _package_is_scanned_once() -> Iterator[None]:
    """The package's own images and weights, which no test changes, are read once by a process of
    tests, not for each plan; other files are read each time."""
    package, scan = locate("package:miniature", Path()), dataset.scan
    kept, content = functools.cache(scan), hub.content_of
    kept_content = functools.cache(content)

    def scanned(folder: str | Path, **how: Any) -> dataset.Dataset:
        return (kept if Path(folder).is_relative_to(package) else scan)(folder, **how)

    def hashed(file: Path) -> str:
        return (kept_content if file.is_relative_to(package) else content)(file)

    with pytest.MonkeyPatch.context() as patch:
        for room in (dataset, heldout):
            patch.setattr(room, "scan", scanned)
        patch.setattr(hub, "content_of", hashed)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_trial_of_precisions() -> Iterator[None]:
    """New run folders draw in fp32 on every machine, without half a second of trial a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lycoris_bench.sampling.precision.speed", lambda dtype: 1.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """What is written outlives a killed process without it; no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_count_of_what_the_libraries_keep() -> Iterator[None]:
    """The conftest leaves it out of the search for garbage; to count it, a million objects, takes
    each analysis as long as its tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "get_freeze_count", lambda: 1)
        yield


@pytest.fixture(scope="module")
def unprinted() -> Iterator[None]:
    """Figures are composed as ever and printed as empty pictures, for tests that look at none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lycoris_bench.analysis.plots.canvas.draw", lambda _, file: file.write("<svg></svg>")
        )
        yield


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """Reports without figures, for tests of words and numbers."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("scatters", "over", "agreement"):
            patch.setattr(f"lycoris_bench.analysis.report.figures.{kind}", lambda *_: [])
        yield


@pytest.fixture
def unanalyzed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are gathered for the analysis, as ever, and there it ends: for tests of what comes
    before, of rows that another test analyzes."""

    def ended(*given: Any, failures: Any = None, **_: Any) -> Outcome:
        return Outcome(done=1, failed=dict(given[6] if len(given) > 6 else failures or {}))

    monkeypatch.setattr("lycoris_bench.analysis.run_tables.write_analysis", ended)


@pytest.fixture(scope="session")
def quick_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tests' Stable Diffusion, for studies of which nobody looks at the images."""
    return str(once(tmp_path_factory, "quick-base", stable_diffusion.save))


@pytest.fixture(scope="session")
def brief(quick_base: str) -> Plan:
    """Two epochs of one configuration, an image of each of two prompt types, two encoders."""
    return plan(tiny(**BRIEF, base_model=quick_base))


@pytest.fixture(scope="session")
def finished(brief: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The brief study trained, drawn and scored, without a break. To look at, not to change."""

    def make(folder: Path) -> None:
        outcomes = run(brief, Store(folder), ("train", "generate", "score"))
        assert not any(outcome.failed for outcome in outcomes.values()), outcomes

    return Store(once(tmp_path_factory, "finished", make))


@pytest.fixture
def copied(finished: Store, tmp_path: Path) -> Store:
    """A copy of the finished run, to change."""
    return Store(shutil.copytree(finished.root, tmp_path / "run"))
