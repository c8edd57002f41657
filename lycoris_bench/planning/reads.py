"""The files and folders that a piece of work reads: what another machine has to be sent."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lycoris_bench.models.hub import read_by_loading
from lycoris_bench.models.partial import is_denoiser
from lycoris_bench.planning.parts import Part
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES, Checkpoint, Source

OF_FOLDERS = (".safetensors", ".json", ".txt")  # read beside the folders of a model's parts


def of_training(store: Store, checkpoints: Sequence[Checkpoint]) -> tuple[Path, ...]:
    """What the training of these checkpoints alone reads: its saved state."""
    return (store.training_state(checkpoints[-1]),)


def of_source(plan: Plan, store: Store, source: Source) -> tuple[Path, ...]:
    """What drawing and scoring a checkpoint, or real images, alone reads: its adapters, and what is
    stored of its images and rows."""
    return tuple(_of_source(plan, store, source))


def _of_source(plan: Plan, store: Store, source: Source) -> Iterator[Path]:
    if isinstance(source, Checkpoint):
        if source.given:
            yield from of_model(Path(source.given.path))
        for part, _ in plan.parts(source):
            if isinstance(part, Checkpoint):
                part = store.checkpoint(part)
                yield part.with_suffix(".json")
            yield part
        yield store.manifest(source).parent
    yield store.feature_folder(store.branch(source))
    yield store.metrics(store.branch(source))
    yield store.passing
    yield store.encoder_weights


def of_model(place: Path) -> Iterator[Path]:
    """The files that loading reads of a base model, or of a checkpoint that is a folder: trainers
    keep their optimizer there too, which is larger than the weights."""
    if not place.is_dir():
        yield place
    elif is_denoiser(place):
        yield from read_by_loading(place.parent, [place.name])
    else:
        for inside in sorted(place.iterdir()):
            if inside.is_dir():
                yield from read_by_loading(place, [inside.name])
            elif inside.suffix in OF_FOLDERS:
                yield inside


def of_parts(store: Store, source: Checkpoint, parts: Iterable[Part]) -> tuple[Path, ...]:
    """What joining the parts of a checkpoint reads besides: their tables."""
    branch = store.branch(source)
    kinds = [kind for part in parts for kind in (f"-{part.name}", f"-{part.name}-images")]
    return tuple(store.metrics(branch, kind) for kind in kinds)


def inputs(plan: Plan) -> tuple[Path, ...]:
    """What every training, drawing and scoring reads: the images of the dataset, and base models
    that are no names of the hub."""
    datasets = [plan.data, *([plan.heldout] if plan.heldout else [])]
    datasets += [captioned.data for captioned in plan.captioned.values()]
    images = dict.fromkeys(example.path for data in datasets for example in data.examples)
    models = (file for model in plan.study.local_models for file in of_model(model))
    return (*models, *images)


def compared_with(plan: Plan, store: Store) -> tuple[Path, ...]:
    """What every scoring reads besides: the images of the base model, with the features of what is
    compared."""
    branches = [Path("dataset"), store.branch(BASE_CHECKPOINT), store.branch(REAL_IMAGES)]
    return (store.manifest(BASE_CHECKPOINT).parent, *map(store.feature_folder, branches))
