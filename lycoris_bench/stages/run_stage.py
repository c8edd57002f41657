"""Runs one stage of a study from Python, with the checks and the lock of the command line."""

import warnings
from pathlib import Path

from lycoris_bench.messages.arguments import COUNT, FUNCTION, PATH, TEXT, Allowed
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.run.cluster import cluster_of
from lycoris_bench.run.outcome import (
    STAGES,
    WHOLE,
    KeepCheckpoints,
    KeepImages,
    Options,
    Outcome,
    Progress,
)
from lycoris_bench.stages.study_context import open_context
from lycoris_bench.study.load import Study, load

STUDY = Allowed(
    "the result of load_study, or a study file,",
    lambda value: isinstance(value, Study) or PATH.holds(value),
)


def run_stage(
    stage: str,
    study: Study | str | Path,
    run: str | Path | None = None,
    *,
    device: str = "auto",
    workers: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    also_scored: bool = False,
    keep_images: str | None = None,
    keep_checkpoints: str | None = None,
    launcher: str = "local",
    address: str | None = None,
    require: str | None = None,
) -> Outcome:
    """Runs "train", "generate", "score" or "analyze" of a study, or all of it with "run", in its
    run folder (by default runs/NAME), and continues what is there. The outcome counts items done
    and items that were there already, and names failures.

    `study` is the result of `load_study`, or a file. `limit` is the number of checkpoints to take,
    from the first. `progress(stage, steps, total)` is called with the steps done since the last
    call. With several `workers` a script needs `if __name__ == "__main__":`, since each worker
    imports it.

    A checkpoint that is scored needs neither weights nor images; `also_scored` trains or draws them
    nevertheless. "run" keeps, of the images that it draws, once they are scored, `keep_images`
    "all", "sample" (the default: the first of each set, and what the report shows) or "none"; of
    the weights that it trains `keep_checkpoints` "all" (the default), "last" (the last epoch's) or
    "none".

    With the launcher "ray" the machines of a Ray cluster do the work: of the one at `address`,
    "auto" for the one that this machine belongs to, else of one of this machine alone; only of
    those that have a `require`d kind of accelerator or resource. `workers` is then the most, and
    by default there are as many as the machines have room for.

    BenchError: an argument of another type or range, an unknown stage, a mistake in the study or in
    a file it names, or a run folder that belongs to another study or is in use."""
    for what, given, allowed in (
        ("stage", stage, [*STAGES, WHOLE]),
        ("keep_images", keep_images or KeepImages.SAMPLE, [kind.value for kind in KeepImages]),
        ("keep_checkpoints", keep_checkpoints or "all", [kind.value for kind in KeepCheckpoints]),
    ):
        if given not in allowed:
            raise BenchError(unknown(what, str(given), allowed))
    for what, chosen, stages in (
        ("also_scored", also_scored, ("train", "generate")),
        ("keep_images", keep_images, (WHOLE,)),
        ("keep_checkpoints", keep_checkpoints, (WHOLE,)),
    ):
        if chosen and stage not in stages:
            raise BenchError(f"{what}= is for {' and '.join(stages)}, not for {stage}")
    STUDY.check("study", study)
    PATH.or_none().check("run", run)
    TEXT.check("device", device)
    COUNT.or_none().check("workers", workers)
    TEXT.check("launcher", launcher)
    TEXT.or_none().check("address", address)
    TEXT.or_none().check("require", require)
    COUNT.or_none().check("limit", limit)
    FUNCTION.or_none().check("progress", progress)
    study = study if isinstance(study, Study) else load(study)
    cluster = cluster_of(launcher, address, require)
    if cluster and stage == "analyze":
        raise BenchError("the launcher 'ray' is for the other stages: analyze runs on this machine")
    context = open_context(study, run, device=device, limit=limit, to_run=stage, cluster=cluster)
    for doubt in context.plan.doubts:
        warnings.warn(doubt, stacklevel=2)
    options = Options(
        progress=progress, also_scored=also_scored,
        keep_images=keep_images or KeepImages.SAMPLE,
        keep_checkpoints=keep_checkpoints or KeepCheckpoints.ALL,
    )  # fmt: skip
    with context.store.lock():
        return context.run(stage, options, workers or (0 if cluster else 1))
