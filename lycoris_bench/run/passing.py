"""What the command `run` made in a run folder, and may remove once it is scored: images and weights
by the names of their checkpoints. What `train` and `generate` made is never on the list."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from lycoris_bench.run import manifest
from lycoris_bench.run.store import Store


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
