"""What `run` would ask of a cluster, in words and as data."""

from collections import Counter
from typing import Any

from lycoris_bench.messages.numbers import number
from lycoris_bench.planning.status import Status
from lycoris_bench.run.executor import Item
from lycoris_bench.run.outcome import Options, Outcome
from lycoris_bench.stages import class_images
from lycoris_bench.stages.fine_tuning import train_run
from lycoris_bench.stages.joining import join
from lycoris_bench.stages.run import draw_and_score, items_of
from lycoris_bench.stages.study_context import StudyContext

KINDS = {
    class_images.draw: "class images",
    train_run: "training",
    draw_and_score: "drawing",
    join: "joining",
}
SHOWN = 10  # items of a kind in the text; the data have all


def asked_of_cluster(context: StudyContext) -> dict[str, Any]:
    """The items that are left, each with what it waits for, and what a worker takes of its
    machine."""
    cluster, plan, store = context.cluster, context.plan, context.store
    assert cluster
    options = Options(device=context.device, cluster=cluster)
    items = items_of(plan, store, Status(plan, store), options, Outcome())
    needs, room = cluster.needs(context.device), cluster.room(context.device)
    takes = ", ".join(f"{count:g} {name}" for name, count in needs.items())
    lines = [f"cluster      each worker takes {takes}; there is room for {room} now"]
    for kind, count in Counter(map(_kind, items)).items():
        of_kind = [item for item in items if _kind(item) == kind]
        more = f", and {number(count - SHOWN)} more" if count > SHOWN else ""
        shown = ", ".join(item.name for item in of_kind[:SHOWN])
        lines.append(f"{kind:<12} {number(count)}: {shown}{more}")
    told = [
        {"name": i.name, "kind": _kind(i), "after": sorted(i.after), "steps": i.steps}
        for i in items
    ]
    return {"items": told, "worker": needs, "room": room, "text": "\n".join(lines)}


def _kind(item: Item) -> str:
    return KINDS.get(item.work, "scoring")
