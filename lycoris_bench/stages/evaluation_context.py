"""An evaluation opened on its run folder, like a study. The prompts that were made for it lie in
the folder, which is whole without what they were made from."""

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lycoris_bench.evaluation.evaluation import TREE, Asked, Evaluation, evaluation
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.store import Store
from lycoris_bench.stages.study_context import StudyContext, open_context
from lycoris_bench.study.load import parse


@dataclass(frozen=True)
class EvaluationContext:
    """An evaluation, and the study that it is on its run folder."""

    evaluation: Evaluation
    study: StudyContext


def _alike(plan: Plan) -> Iterator[str]:
    """A sentence for checkpoints of other files or moments that are the same weights."""
    same = defaultdict(list)
    for checkpoint in plan.checkpoints[1:]:
        same[plan.drawn_uid(checkpoint)].append(str(checkpoint))
    for names in same.values():
        if len(names) > 1:
            yield f"{' and '.join(names)} are the same weights: they draw the same pictures"


def _short(path: str) -> str:
    """A path without the folders of this machine."""
    return "/".join(Path(path).parts[-2:])


@contextlib.contextmanager
def open_evaluation(
    asked: Asked,
    run: Path,
    *,
    device: str = "auto",
    to_run: str | None = None,
    limit: int | None = None,
) -> Iterator[EvaluationContext]:
    """Opens an evaluation whose study has the name of its run folder. With a stage in `to_run` the
    folder is locked meanwhile, and gets the prompts; without one nothing is written to it.

    BenchError: what cannot be evaluated, or the run folder of another study."""
    made = evaluation(asked, run)
    store = Store(run)
    store.belongs_to(run.name)
    with contextlib.ExitStack() as held:
        if to_run is None:
            tree = Path(held.enter_context(tempfile.TemporaryDirectory()))
        else:
            held.enter_context(store.lock())
            tree = store.root / TREE
        study = parse({"prompts": str(tree), **made.table}, source="the evaluation")
        if to_run is not None:
            store.write(store.study, study.toml())
        for name, text in made.files.items():
            store.write(tree / name, text)
        context = open_context(study, run, device=device, to_run=to_run, limit=limit)
        made = replace(made, notes=[*made.notes, *_alike(context.plan)])
        if to_run is not None:
            left_out = [f"{_short(path)}: {reason}" for path, reason in made.problems.items()]
            said = {"unlike": made.unlike, "left_out": left_out, "notes": made.notes}
            store.write_json(store.evaluated, said)
        yield EvaluationContext(made, context)
