"""What the command `run` made in a run folder, and may remove once it is scored: images and weights
by the names of their checkpoints. What `train` and `generate` made is never on the list."""

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from lycoris_bench.run import manifest
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import Checkpoint


@dataclass(frozen=True)
class Passing:
    """Names of checkpoints whose images, and whose weights, may be removed."""

    images: frozenset[str] = frozenset()
    weights: frozenset[str] = frozenset()

    @classmethod
    def read(cls, store: Store) -> "Passing":
        """The list of a run; empty where there is none, or it is damaged."""
        found = manifest.checked(store.passing)
        return cls(*(frozenset(map(str, found.get(kind, ()))) for kind in ("images", "weights")))

    def adding(self, images: Iterable[str], weights: Iterable[str]) -> "Passing":
        """The list with more names."""
        return Passing(self.images | set(images), self.weights | set(weights))

    def less(self, images: Iterable[str] = (), weights: Iterable[str] = ()) -> "Passing":
        """The list without names: what is made on request is kept."""
        return Passing(self.images - set(images), self.weights - set(weights))

    def write(self, store: Store) -> None:
        """Stores the list, unless it is there."""
        if self != Passing.read(store):
            lists = {kind: sorted(names) for kind, names in asdict(self).items()}
            store.write(store.passing, manifest.sealed(lists))


def remove_images(
    store: Store, checkpoint: Checkpoint, kept: Collection[Path] = (), features: bool = True
) -> int:
    """Removes a checkpoint's images, apart from those `kept`, and their features. Returns the
    number of images removed."""
    place = store.manifest(checkpoint).parent
    store.manifest(checkpoint).unlink(missing_ok=True)  # first: it would list images
    images = [image for image in place.rglob("*.png") if image not in kept]
    for image in images:
        image.unlink(missing_ok=True)
    for folder in sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
    if features:
        for file in store.feature_folder(store.branch(checkpoint)).glob("*.safetensors"):
            file.unlink(missing_ok=True)
    return len(images)


def remove_parts(store: Store, checkpoint: Checkpoint) -> None:
    """Removes the rows and features that the parts of a checkpoint left (planning/parts.py)."""
    branch = store.branch(checkpoint)
    for file in store.part_tables(branch):
        file.unlink(missing_ok=True)
    for folder in store.part_features(branch):
        for file in folder.glob("*.safetensors"):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
