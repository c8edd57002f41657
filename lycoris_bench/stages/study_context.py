"""A study opened on its run folder: what the commands and the Python API check before any work,
and how both run a stage."""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.planning import memory, resolve, scored_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import environment
from lycoris_bench.run.cluster import Cluster
from lycoris_bench.run.outcome import WHOLE, Options, Outcome
from lycoris_bench.run.provenance import PRECISION, STUDY_NAME
from lycoris_bench.run.store import Store
from lycoris_bench.sampling import precision
from lycoris_bench.scoring.scorer import without_number
from lycoris_bench.study.load import Study, StudyError

SCORING = ("score", WHOLE)  # the stages that make rows


@dataclass(frozen=True)
class StudyContext:
    """A study with its inputs read, its run folder, and the device it runs on. `absent` names, a
    sentence each, what is missing to run it: a dataset, a base model, a library."""

    plan: Plan
    store: Store
    device: str
    absent: tuple[str, ...] = ()
    cluster: Cluster | None = None

    def run(self, stage: str, options: Options, workers: int | None = None) -> Outcome:
        """Describes the run in its folder, which the caller has locked, and runs one stage on the
        study's device. Without `workers` there are as many as fit the machine."""
        here = stage != "analyze" and not self.cluster
        about = environment.provenance(stage=stage, device=self.device if here else "")
        settings = self.plan.study.settings
        about |= {STUDY_NAME: self.plan.study.name, PRECISION: settings.sampling.precision}
        if self.cluster:
            about["cluster"] = self.cluster.about()
        with doing(f"running {stage} in {self.store.root}"):
            self.store.describe(self.plan.study.toml(), about, scored_rows.identities(self.plan))
            if not (workers or self.cluster):
                workers = memory.workers(self.plan, stage, self.device)
            damaged = Status(self.plan, self.store).damaged_rows() if stage in SCORING else []
            function = getattr(import_module(f"lycoris_bench.stages.{stage}"), stage)
            options = replace(
                options, device=self.device, workers=workers or 0, cluster=self.cluster
            )
            outcome: Outcome = function(self.plan, self.store, options)
            if damaged:
                shown = ", ".join(str(path.relative_to(self.store.root)) for path in damaged[:3])
                more = f" and {len(damaged) - 3} more" if damaged[3:] else ""
                outcome.warnings["damage"] = (
                    f"damaged or removed, so that their rows are made anew: {shown}{more}"
                )
            if self.cluster and self.cluster.notes:
                outcome.warnings["cluster"] = "; ".join(self.cluster.notes)
            return outcome


def open_context(
    study: Study,
    run: str | Path | None = None,
    *,
    device: str = "auto",
    limit: int | None = None,
    to_run: str | None = None,
    cluster: Cluster | None = None,
) -> StudyContext:
    """Opens a study on its run folder, by default runs/NAME, and checks all that it names. The
    machines of a `cluster` do the work, where one is given. Without a stage in `to_run` it may lack
    its dataset, its base model and the libraries that training needs. `plan.doubts` of the result
    are warnings that the caller shows.

    BenchError: a mistake in a file that the study names, something missing that `to_run` needs, or
    the run folder of another study."""
    store = Store(Path("runs") / study.name if run is None else run)
    store.belongs_to(study.name)
    if cluster:
        cluster.connect()
    device = cluster.device(device) if cluster else environment.device(device)
    lacking = [] if cluster else resolve.missing_libraries(study, device)
    if to_run in ("train", "run") and lacking:
        raise BenchError("; ".join(lacking))
    absent: list[str] = []
    study = precision.settled(study, store, device)
    asked = plan(study, limit, None if to_run else absent)
    if problems := without_number(asked, store):
        raise StudyError(study.name, problems)
    for metric in scored_rows.metrics(asked.study) if to_run in SCORING and not cluster else ():
        if metric.ready:
            metric.ready()
    return StudyContext(asked, store, device, (*absent, *lacking), cluster)
