"""The results of the commands `plan` and `ls`, as data and as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from lycoris_bench.messages.numbers import plural, rough_duration, significant, size
from lycoris_bench.planning import memory, time_and_disk
from lycoris_bench.planning.downloads import downloads
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.resolve import PLACEHOLDER
from lycoris_bench.planning.status import Status
from lycoris_bench.run import environment
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import COMBINED, Checkpoint


def overview(
    plan: Plan,
    store: Store,
    absent: Sequence[str],
    device: str | None = None,
    rate: str | None = None,
    sampled: int | None = None,
    asked_workers: int | None = None,
) -> dict[str, Any]:
    """Counts of a study's checkpoints and images, how many are stored, the time left, disk,
    downloads and what is missing. The rate is measured on `device`; without one, time is estimated
    only where a `rate` is given. `sampled`: the most bytes of images that `run` holds;
    `asked_workers`: as many processes as the user asks for."""
    status = Status(plan, store)
    stored = [state(status, checkpoint) for checkpoint in plan.checkpoints]
    trained = sum(status.of_weights(checkpoint) == "trained" for checkpoint in plan.trained)
    images = sum(row["images"] for row in stored)
    asked = [row["of"] for row in stored]
    steps, beside = time_and_disk.steps_left(status), time_and_disk.class_images_left(status)
    lacking = sum(row["to_draw"] for row in stored)
    drawing = beside + round(lacking * time_and_disk.drawn_share(plan))
    speed = _rate(plan, store, device, rate, steps or drawing)
    time = speed and {"train": steps / speed.steps, "generate": drawing / speed.images}
    if speed and time and speed.scored:
        time["score"] = sum(row["of"] for row in stored if not row["scored"]) / speed.scored
    workers = asked_workers or (
        memory.workers(plan, "run", environment.device(device)) if device else 1
    )
    pictures, weights, last = time_and_disk.disk_bytes(plan)
    needed = downloads(plan.study.settings, plan.base_uid, plan.drawn_base_uid)
    epochs = plan.study.settings.epochs
    result: dict[str, Any] = {
        "study": plan.study.name,
        "run": str(store.root),
        "configurations": len(plan.study.configurations),
        "checkpoints": len(plan.trained),
        "checkpoints_there": trained,
        "concepts": len({p.concept for p in plan.prompt_sets}),
        "training_images": len(plan.data.examples),
        "steps_per_epoch": plan.steps(1),
        "steps_per_run": plan.steps(epochs[-1]) if epochs else 0,
        "images_per_checkpoint": max(asked),
        "images_of_checkpoints": sum(asked[1:]),
        "images": sum(asked),
        "images_there": images,
        "class_images_left": beside,
        "scored": sum(row["scored"] for row in stored),
        "steps_left": steps,
        "rate": speed
        and {"training_steps": speed.steps, "images": speed.images, "source": speed.source},
        "seconds_left": time,  # of one process
        "workers": workers,
        "disk_bytes": pictures + (weights or 0),
        "disk_bytes_of_run": sampled and sampled + (last or 0),
        "downloads": [{**vars(download)} for download in needed],
        "missing": list(absent),
    }
    files = "not counted" if weights is None else size(weights)
    lines = [
        f"study        {result['study']} in {result['run']}",
        *_checkpoints(plan, trained),
        *_training(result),
        f"images       {result['images_per_checkpoint']:,} a checkpoint for "
        f"{plural(result['concepts'], 'concept')}, {sum(asked[1:]):,} in all and {asked[0]:,} of "
        f"the base model, {images:,} there",
        *_class_images(plan, beside),
        f"scored       {result['scored']} of {len(stored)}",
        f"time left    {_left(speed, time, workers, bool(plan.trained))}",
        f"disk         about {size(pictures)} of images"
        + (f", {files} of checkpoints in all" if plan.trained else ""),
        *_with_run(sampled, last),
        *(f"download     {download}" for download in needed),
        *(f"missing      {sentence}" for sentence in absent),
    ]
    return {**result, "text": "\n".join(lines)}


def _checkpoints(plan: Plan, there: int) -> list[str]:
    """What is trained, and of how many configurations; then what others are made of."""
    own, every = len(plan.study.own), plan.study.configurations
    combined = sum(c.algorithm == COMBINED for c in every)
    given = [c for c in every if c.files]
    files = plural(sum(len(c.files) for c in given), "file")
    lines = []
    if own:
        lines.append(f"{len(plan.trained)} from {plural(own, 'configuration')}, {there} there")
    if given:
        lines.append(f"{files} of {plural(len(given), 'training')} that others ran")
    if combined:
        lines.append(f"{plural(combined, 'combination')} of adapters, which nothing is trained for")
    return [f"{'' if k else 'checkpoints':<12} {line}" for k, line in enumerate(lines)]


def _training(result: Mapping[str, Any]) -> list[str]:
    """The size of the trainings; nothing where there are none."""
    if not result["checkpoints"]:
        return []
    return [
        f"training     {plural(result['training_images'], 'image')}, "
        f"{plural(result['steps_per_epoch'], 'step')} an epoch, {result['steps_per_run']:,} a run, "
        f"{result['steps_left']:,} left"
    ]


def _class_images(plan: Plan, left: int) -> list[str]:
    """What prior preservation has drawn before trainings."""
    if plan.class_images is None:
        return []
    words = ", ".join(f"'{p.prompts[0]}'" for p in plan.class_images.prompt_sets)
    count = plan.class_images.study.settings.sampling.images
    return [f"class images {count:,} of {words}, drawn by the base model, {left:,} left"]


def _with_run(sampled: int | None, last: int | None) -> list[str]:
    """What is needed where images and weights of scored checkpoints are not kept."""
    if sampled is None:
        return []
    line = f"             with 'lycoris-bench run' about {size(sampled)} of images"
    return [line if last is None else f"{line}, {size(last)} with '--keep-checkpoints last'"]


def _left(
    speed: time_and_disk.Rate | None, time: dict[str, float] | None, workers: int, trains: bool
) -> str:
    if speed is None or time is None:
        return "not measured: 'lycoris-bench plan' measures, --rate gives your own"
    shown = {name: value for name, value in time.items() if trains or name != "train"}
    parts = ", ".join(f"{name} {rough_duration(value)}" for name, value in shown.items())
    steps, images = (significant(rate, short=True) for rate in (speed.steps, speed.images))
    total = sum(time.values())
    several = f"about {rough_duration(total / workers)} with {workers} processes; "
    return (
        f"{several if workers > 1 else ''}about {rough_duration(total)} ({parts}), one process, at "
        f"{f'{steps} training steps and ' * trains}{images} images a second, {speed.source}"
    )


def _rate(
    plan: Plan, store: Store, device: str | None, rate: str | None, anything: int
) -> time_and_disk.Rate | None:
    if rate is not None:
        return time_and_disk.given(rate)
    if device is None:
        return None
    if PLACEHOLDER in (plan.base_uid, plan.drawn_base_uid) or not anything:
        return time_and_disk.ASSUMED
    return time_and_disk.measured(plan, store, environment.device(device))


def listing(plan: Plan, store: Store, absent: Sequence[str] = ()) -> dict[str, Any]:
    """One line per checkpoint: state of its weights, images stored, whether it is scored; then a
    line for each thing that is missing."""
    status = Status(plan, store)
    states = [state(status, checkpoint) for checkpoint in plan.checkpoints]
    width = max(len(row["checkpoint"]) for row in states)
    lines = [
        f"{row['checkpoint']:<{width}}  {row['status']:<9}  "
        f"{row['images']}/{row['of']} images  {'scored' if row['scored'] else ''}".rstrip()
        for row in states
    ]
    lines += [f"missing: {sentence}" for sentence in absent]
    return {"checkpoints": states, "missing": list(absent), "text": "\n".join(lines)}


def state(status: Status, checkpoint: Checkpoint) -> dict[str, Any]:
    """The status of a checkpoint: its weights, images stored, and whether it is scored. A scored
    one needs neither weights nor images."""
    asked, lacking = status.plan.image_count(checkpoint), status.lacking(checkpoint)
    return {
        "checkpoint": str(checkpoint),
        "status": status.of_weights(checkpoint),
        "images": asked - lacking,
        "of": asked,
        "to_draw": lacking if status.needs_images(checkpoint) else 0,
        "scored": status.has_rows(checkpoint),
    }
