"""Runs one stage of a study from Python, with the checks and the lock of the command line."""

import warnings
from importlib import import_module
from pathlib import Path

from lycoris_bench.messages.arguments import COUNT, FUNCTION, PATH, TEXT, Allowed
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.planning import resolve, scored_rows
from lycoris_bench.planning.plan import plan
from lycoris_bench.run import environment
from lycoris_bench.run.outcome import Options, Outcome, Progress
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.scorer import without_number
from lycoris_bench.study.load import Study, StudyError, load

STUDY = Allowed(
    "the result of load_study, or a study file,",
    lambda value: isinstance(value, Study) or PATH.holds(value),
)
STAGES = ("train", "generate", "score", "analyze")


def run_stage(
    stage: str,
    study: Study | str | Path,
    run: str | Path | None = None,
    *,
    device: str = "auto",
    workers: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Runs "train", "generate", "score" or "analyze" of a study in its run folder (by default
    runs/NAME), and continues what is there. The outcome counts items done and items that were
    there already, and names failures.

    `study` is the result of `load_study`, or a file. `limit` is the number of checkpoints to take,
    from the first. `progress(stage, steps, total)` is called with the steps done since the last
    call. With several `workers` a script needs `if __name__ == "__main__":`, since each worker
    imports it.

    BenchError: an argument of another type or range, an unknown stage, a mistake in the study or in
    a file it names, or a run folder that belongs to another study or is in use."""
    if stage not in STAGES:
        raise BenchError(unknown("stage", stage, STAGES))
    STUDY.check("study", study)
    PATH.or_none().check("run", run)
    TEXT.check("device", device)
    COUNT.check("workers", workers)
    COUNT.or_none().check("limit", limit)
    FUNCTION.or_none().check("progress", progress)
    study = study if isinstance(study, Study) else load(study)
    device = environment.device(device)
    lacking = resolve.missing_libraries(study, device)
    if stage == "train" and lacking:
        raise BenchError("; ".join(lacking))
    store = Store(Path("runs") / study.name if run is None else run)
    store.belongs_to(study.name)
    asked = plan(study, limit)
    if problems := without_number(asked, store):
        raise StudyError(study.name, problems)
    for doubt in asked.doubts:
        warnings.warn(doubt, stacklevel=2)
    function = getattr(import_module(f"lycoris_bench.stages.{stage}"), stage)
    about = environment.provenance(stage=stage, device="" if stage == "analyze" else device)
    with store.lock(), doing(f"running {stage} in {store.root}"):
        store.describe(study.toml(), about, scored_rows.identities(asked))
        outcome: Outcome = function(asked, store, Options(device, workers, progress))
    return outcome
