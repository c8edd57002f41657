"""The class images of prior preservation: drawn before the trainings that need them, read by each,
removed when no training is left."""

from pathlib import Path

from lycoris_bench.data.dataset import Dataset, Example
from lycoris_bench.data.images import DataError
from lycoris_bench.data.seen import identity
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning import class_images, reads
from lycoris_bench.planning.parts import Part
from lycoris_bench.planning.plan import Plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run import passing
from lycoris_bench.run.executor import Item
from lycoris_bench.run.passing import Passing
from lycoris_bench.run.store import Store
from lycoris_bench.stages.drawing import Drawing
from lycoris_bench.study.names import CLASS_IMAGES
from lycoris_bench.study.records import BASE_CHECKPOINT, Concept, Configuration, ImageSet
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.prior import Prior


def none_drawn(plan: Plan, store: Store) -> bool:
    """Whether there are class images to draw, and none is stored under its present uid."""
    drawing = plan.class_images
    if drawing is None:
        return False
    status = Status(drawing, class_images.store_of(store))
    return status.lacking(BASE_CHECKPOINT) == drawing.image_count(BASE_CHECKPOINT)


def drawings(plan: Plan, store: Store, unit: float) -> list[Item]:
    """An item for each class word whose images are not all there; an image counts as `unit`."""
    drawing = plan.class_images
    if drawing is None:
        return []
    status = Status(drawing, place := class_images.store_of(store), keeps=True)
    absent = [job.image_set.concept for job in status.absent(BASE_CHECKPOINT)]
    images, sets = drawing.study.settings.sampling.images, drawing.prompt_sets
    items = []
    for k, asked in enumerate(sets):
        if steps := absent.count(asked.concept):
            part = Part(k + 1, len(sets), slice(k * images, (k + 1) * images))
            drawn = ImageSet(BASE_CHECKPOINT, asked.concept, asked.prompt_type)
            items.append(
                Item(
                    f"{CLASS_IMAGES} of {asked.concept}", draw, (plan, store, part),
                    unit=unit, steps=steps,
                    reads=(place.image_folder(drawn),), shares=reads.inputs(plan),
                )
            )  # fmt: skip
    return items


def draw(plan: Plan, store: Store, part: Part, device: str) -> str | None:
    """Draws the missing images of one class word. Returns a sentence of warnings, or None.
    BenchError: an image was refused, so that no training can begin."""
    assert plan.class_images
    images = part.images.stop - part.images.start
    place = class_images.store_of(store)
    drawing = Drawing(plan.class_images, place, BASE_CHECKPOINT, images, device, part)
    for _ in drawing.images():
        pass
    if drawing.refused:
        raise BenchError(f"{drawing.refused}; another sampling.seed draws others")
    return drawing.warned


def read_by(plan: Plan, store: Store) -> tuple[Path, ...]:
    """The folder that each training reads besides; none without prior preservation."""
    return (store.class_images,) if plan.class_images else ()


def remove(plan: Plan, store: Store, keep: str) -> None:
    """Removes class images that `run` drew, once no training is left, but those to `keep`: "all",
    "sample" (the first of each class word) or "none"."""
    drawing = plan.class_images
    if drawing is None or keep == "all" or CLASS_IMAGES not in Passing.read(store).images:
        return
    place = class_images.store_of(store)
    first = {place.image(job.image_set, 0) for job in drawing.jobs(BASE_CHECKPOINT)}
    passing.remove_images(place, BASE_CHECKPOINT, first if keep == "sample" else ())


_kept: dict[str, Prior] = {}  # of this process


def prior(
    plan: Plan, store: Store, backbone: Backbone, configuration: Configuration
) -> Prior | None:
    """What trainings of a configuration are held to, encoded once per process; None without prior
    preservation. DataError: a class image is missing, damaged or another."""
    settings = plan.study.training(configuration)
    if settings.prior_preservation is None:
        return None
    key = class_images.identity(plan) + settings.model_dump_json()
    if key not in _kept:
        _kept.clear()
        data = examples(plan, store)
        classes = {concept: Concept(word, "") for concept, word in class_images.words(plan).items()}
        latents = LatentCache.encode(backbone, data, settings)
        _kept[key] = Prior(data, latents, settings.prior_preservation.weight, classes)
    return _kept[key]


def examples(plan: Plan, store: Store) -> Dataset:
    """The class images as examples whose caption is their prompt; the concept of each is that of
    its class word. DataError: one is missing, damaged or another."""
    drawing, place = plan.class_images, class_images.store_of(store)
    assert drawing
    sampling = drawing.study.settings.sampling
    found: list[Example] = []
    for job in drawing.jobs(BASE_CHECKPOINT):
        path = place.image(job.image_set, job.k)
        if place.image_uid(path) != job.uid:
            said = f"it is missing, damaged or of other settings; run again to draw '{job.prompt}'"
            raise DataError(str(path), [said])
        size, content = (sampling.width, sampling.height), identity(disk.read_bytes(path))
        found.append(Example(path, job.prompt, job.image_set.concept, size, content))
    return Dataset(tuple(found))
