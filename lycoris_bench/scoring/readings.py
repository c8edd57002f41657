"""Inputs that metrics read from images without an encoder (`Input.read`). They are kept in memory
and never stored."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.registry import titled
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.feature_pass import Consumer
from lycoris_bench.scoring.image_sets import ImageSets
from lycoris_bench.scoring.metrics.inputs import Input, Item


class Reader(Consumer):
    """Applies one input's `read` to each of its images; `values` has the results by uid."""

    def __init__(self, row: Input, items: Iterable[Item]) -> None:
        assert row.read is not None
        super().__init__(row.read, batch_size=1)
        self.row, self.items = row, dict(items)
        self.values: dict[str, Any] = {}

    @property
    def pending(self) -> Collection[str]:
        return self.items.keys()

    def prepare(self, uid: str, image: Picture) -> Any:
        """What the input reads from an image; an error names the input."""
        with doing(f"reading {titled('input', self.row.name, self.row.read)}"):
            return super().prepare(uid, image)

    def take(self, uids: Sequence[str], prepared: Sequence[Any]) -> None:
        self.values.update(zip(uids, prepared, strict=True))


class Readings:
    """The values that the inputs of metrics read from the images of one source."""

    def __init__(self, sets: ImageSets, metrics: Iterable[Any]) -> None:
        items: dict[Input, list[Item]] = {}
        for metric in metrics:
            for row in metric.inputs:
                if row.read is not None:
                    for scored in sets.of(metric):
                        items.setdefault(row, []).extend(row.images(scored))
        self._readers = {row: Reader(row, own) for row, own in items.items()}

    @property
    def consumers(self) -> list[Consumer]:
        """The readers, one per input."""
        return list(self._readers.values())

    @property
    def items(self) -> list[Item]:
        """All images that an input reads."""
        return [item for reader in self._readers.values() for item in reader.items.items()]

    def images(self, row: Input, images: Sequence[Item]) -> list[Any]:
        """The value that the input reads from each image."""
        values = self._readers[row].values
        return [values[uid] for uid, _ in images]

    def texts(self, texts: Sequence[str]) -> Any:
        """BenchError: only an encoder makes features of texts."""
        raise BenchError("a metric without an encoder has no features of texts")
