"""What style metrics keep of Gram matrices, which are too large to store: one number a pair of
images, or the mean and spread of a set. Both are made while the images pass (features.look)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from lycoris_bench.data.images import read_image
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.metrics.gram_statistics import GramSet

K = TypeVar("K")


class Pairs:
    """One number an image: it is held against one other image, the base model's of its seed."""

    def __init__(
        self, seer: Encoder, metrics: Sequence[Any], others: Mapping[str, Path], batch_size: int
    ) -> None:
        self.seer, self.metrics, self.others, self.batch_size = seer, metrics, others, batch_size
        self.values: dict[tuple[str, str], float] = {}  # (metric, uid) -> number
        self._batch: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    @property
    def wanted(self) -> Sequence[str]:
        """All that have another image to be held against."""
        return list(self.others)

    def prepare(self, uid: str, image: Picture) -> tuple[torch.Tensor, torch.Tensor]:
        """The image and its other."""
        return self.seer.prepare(image), self.seer.prepare(read_image(self.others[uid]))

    def see(self, uid: str, prepared: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Images and their others are encoded in batches of the same make-up, so that an image
        is at distance 0 from itself to the last bit."""
        self._batch.append((uid, *prepared))
        if len(self._batch) == self.batch_size:
            self.done()

    def done(self) -> None:
        """Reduces what waits to one number an image and metric."""
        if not self._batch:
            return
        uids, images, others = zip(*self._batch, strict=True)
        grams, against = self.seer.encode(images), self.seer.encode(others)
        for metric in self.metrics:
            for uid, value in zip(uids, metric(grams, against), strict=True):
                self.values[metric.__name__, uid] = float(value)
        self._batch = []


class Pools(Generic[K]):
    """One mean and spread a set; an image may belong to several sets."""

    def __init__(self, seer: Encoder, sets: Mapping[K, Sequence[str]], batch_size: int) -> None:
        self.seer, self.batch_size = seer, batch_size
        self.pools: dict[K, GramSet] = {key: GramSet() for key in sets}
        self._of: dict[str, list[K]] = {}
        for key, uids in sets.items():
            for uid in uids:
                self._of.setdefault(uid, []).append(key)
        self._batch: list[tuple[str, torch.Tensor]] = []

    @property
    def wanted(self) -> Sequence[str]:
        """All images of all sets."""
        return list(self._of)

    def prepare(self, uid: str, image: Picture) -> torch.Tensor:
        """The image as the encoder takes it."""
        return self.seer.prepare(image)

    def see(self, uid: str, prepared: torch.Tensor) -> None:
        """Encodes `batch_size` images at once."""
        self._batch.append((uid, prepared))
        if len(self._batch) == self.batch_size:
            self.done()

    def done(self) -> None:
        """Adds what waits to its sets."""
        if not self._batch:
            return
        uids, images = zip(*self._batch, strict=True)
        layers = [_float64(layer) for layer in self.seer.encode(images)]
        rows: dict[K, list[int]] = {}
        for row, uid in enumerate(uids):
            for key in self._of[uid]:
                rows.setdefault(key, []).append(row)
        for key, own in rows.items():
            self.pools[key].add([layer[own] for layer in layers])
        self._batch = []


def _float64(layer: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = layer.detach().cpu().double().numpy()
    return array
