"""Stage 1: trains each configuration and seed to the checkpoints that the study asks for."""

from collections.abc import Container
from dataclasses import replace

from lycoris_bench.planning import reads
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import executor
from lycoris_bench.run.executor import Item
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.run.passing import Passing
from lycoris_bench.run.store import Store
from lycoris_bench.stages import class_images, passes
from lycoris_bench.stages.fine_tuning import train_run
from lycoris_bench.study.names import CLASS_IMAGES
from lycoris_bench.study.records import Checkpoint
from lycoris_bench.training import tensorboard
from lycoris_bench.training.optimizer import available, check


def train(plan: Plan, store: Store, options: Options) -> Outcome:
    """Trains missing checkpoints; an interrupted training continues from its last saved state,
    with the same result bit for bit. A checkpoint that is scored needs no weights any more."""
    outcome = Outcome()
    items = trainings(plan, store, options, outcome)
    made = [checkpoint for item in items for checkpoint in checkpoints_of(item)]
    drawn = [CLASS_IMAGES] if any(not checkpoints_of(item) for item in items) else []
    Passing.read(store).less(images=drawn, weights=map(str, made)).write(store)
    results = executor.each(
        items, workers=options.workers, total=sum(i.unit * i.steps for i in items), what="train",
        devices=options.devices,
        progress=options.progress, debug=options.debug, cluster=options.cluster,
    )  # fmt: skip
    for name, result, error in results:
        if error:
            outcome.failed[name] = error
        elif isinstance(result, str):
            outcome.warnings[name] = result
    for checkpoint in plan.trained:
        card = store.card(checkpoint)
        if card and card.status == "diverged":
            outcome.failed[str(checkpoint)] = f"diverged: {card.reason}"
        elif card and checkpoint in made:
            outcome.done += card.uid == plan.checkpoint_uid(checkpoint)
    return outcome


def trainings(plan: Plan, store: Store, options: Options, outcome: Outcome) -> list[Item]:
    """An item for each configuration and seed that lacks checkpoints, after those that draw the
    class images that they are held to; the outcome gets the number of those that are there, and
    warnings."""
    settings = plan.study.settings.training
    if settings.tensorboard:
        tensorboard.check()
    status, removed = Status(plan, store), Passing.read(store).weights
    shares = (*reads.inputs(plan), *class_images.read_by(plan, store))
    items: list[Item] = []
    for checkpoints in plan.by_run():
        lacking = [
            c
            for c in checkpoints
            if not status.is_trained(c) and (options.also_scored or status.needs_weights(c))
        ]
        outcome.skipped += len(checkpoints) - len(lacking)
        if lacking:
            outcome.warnings |= {
                str(c): f"is {lost}; it is trained again"
                for c in lacking
                if (lost := store.lost(c, plan.checkpoint_uid(c))) and str(c) not in removed
            }
            run = lacking[0]
            name = f"{run.configuration.name}/seed-{run.seed}"
            cards = (store.checkpoint(c).with_suffix(".json") for c in lacking)
            items.append(
                Item(
                    name, train_run, (plan, store, lacking), streams=True,
                    steps=plan.steps(lacking[-1].epoch or 0, run.configuration),
                    unit=plan.study.batches_a_step(run.configuration),
                    reads=reads.of_training(store, lacking), shares=shares,
                    marks=dict(zip(cards, map(weights_of, lacking), strict=True)),
                    rest=_rest,
                )
            )  # fmt: skip
    if items and not options.cluster:
        check(settings.optimizer, options.device)
    if items and available(settings.optimizer, options.device) != settings.optimizer:
        outcome.warnings["optimizer"] = (
            f"{settings.optimizer} needs CUDA; on {options.device} plain AdamW is used, and each "
            "checkpoint's card says so"
        )
    image = passes.of_image(plan) / passes.of_step(plan)
    held = [item for item in items if _is_held(plan, item)]
    drawn = class_images.drawings(plan, store, image) if held else []
    names = frozenset(item.name for item in drawn)
    return [*drawn, *(replace(i, after=names) if _is_held(plan, i) else i for i in items)]


def _is_held(plan: Plan, item: Item) -> bool:
    """Whether class images are shown in a training."""
    training = plan.study.training(checkpoints_of(item)[0].configuration)
    return training.prior_preservation is not None


def weights_of(checkpoint: Checkpoint) -> str:
    """The name under which drawing waits for a checkpoint."""
    return f"weights of {checkpoint}"


def _rest(item: Item, done: Container[str]) -> Item:
    plan, store, lacking = item.arguments
    left = [c for c in lacking if weights_of(c) not in done]
    return replace(item, arguments=(plan, store, left))


def checkpoints_of(item: Item) -> list[Checkpoint]:
    """The checkpoints that an item trains."""
    return list(item.arguments[2]) if item.work is train_run else []
