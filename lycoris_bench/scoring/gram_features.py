"""Statistics of Gram matrices, which are too large to store: one number per pair of images, or the
mean and spread of a set. Both are computed during the pass over the images."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from lycoris_bench.data.images import read_image
from lycoris_bench.messages.numbers import plural
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.feature_pass import Consumer
from lycoris_bench.scoring.image_sets import REFERENCE, ImageSets
from lycoris_bench.scoring.metric_values import numbers
from lycoris_bench.scoring.metrics.gram_statistics import GramSet
from lycoris_bench.scoring.metrics.inputs import Input, Item, ScoredSet

Uids = tuple[str, ...]
_known: dict[tuple[str, Uids], GramSet] = {}  # dataset images' statistics, by encoder record


class Held:
    """Gram matrices of the base model's images, batch by batch, on the CPU: they are the same for
    each checkpoint that this process scores. Batches that come once `limit` bytes are held are
    encoded again (docs/decisions/0003)."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._batches: dict[tuple[str, Uids], list[torch.Tensor]] = {}
        self._images: set[tuple[str, str]] = set()

    def has(self, record: str, uid: str) -> bool:
        """Whether an image is in a batch that is held."""
        return (record, uid) in self._images

    def get(self, record: str, uids: Uids) -> list[torch.Tensor] | None:
        """The stacks of a batch of just these images in this order: others in its place could
        change the last bit."""
        return self._batches.get((record, uids))

    def put(self, record: str, uids: Uids, grams: list[torch.Tensor]) -> None:
        """Holds a batch, if there is room."""
        size = sum(layer.nbytes for layer in grams)
        if (record, uids) not in self._batches and self.bytes + size <= self.limit:
            self._batches[record, uids] = grams
            self._images.update((record, uid) for uid in uids)
            self.bytes += size


held = Held(256 * 2**20)  # 5700 images of miniature-gram, 110 of vgg19


class Pairs(Consumer):
    """Compares each image with the base model's image of the same seed: one number per image.

    `others` maps the uid of an image to the base model's. An image that is its own partner is at
    distance exactly 0, and so is an equal one: both are encoded in batches of the same shapes."""

    def __init__(
        self, encoder: Encoder, metrics: Sequence[Any], others: Mapping[str, Item], batch_size: int
    ) -> None:
        super().__init__(encoder.prepare, batch_size)
        self.encoder, self.metrics, self.others = encoder, metrics, others
        self.record = f"{encoder.record.hash} on {encoder.device}"
        self.values: dict[tuple[str, str], float] = {}  # (metric, uid) -> number

    @property
    def pending(self) -> Collection[str]:
        return self.others.keys()

    def prepare(self, uid: str, image: Picture) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The prepared image and its partner, which is read here and not in the pass; None where
        the partner is known."""
        other = self.others[uid][0]
        known = other == uid or held.has(self.record, other)
        return self.encoder.prepare(image), None if known else self._partner(uid)

    def take(
        self, uids: Sequence[str], prepared: Sequence[tuple[torch.Tensor, torch.Tensor | None]]
    ) -> None:
        """The numbers of a batch."""
        grams = self._encoded([image for image, _ in prepared])
        partners = tuple(self.others[uid][0] for uid in uids)
        against = grams if partners == tuple(uids) else held.get(self.record, partners)
        if against is None:
            others = zip(uids, (other for _, other in prepared), strict=True)
            against = self._encoded(
                [self._partner(uid) if other is None else other for uid, other in others]
            )
        held.put(self.record, partners, against)
        where = plural(len(uids), "image")
        for metric in self.metrics:
            values = numbers(metric, partial(metric, grams, against), len(uids), where)
            for uid, value in zip(uids, np.asarray(values), strict=True):
                self.values[metric.__name__, uid] = float(value)

    def _partner(self, uid: str) -> torch.Tensor:
        return self.encoder.prepare(read_image(self.others[uid][1]))

    def _encoded(self, images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Gram matrices on the CPU, where a metric takes them one by one."""
        return [layer.cpu() for layer in self.encoder.encode(images)]


class Pools(Consumer):
    """The mean and spread of each set of images, named by its uids; sets may overlap."""

    def __init__(self, encoder: Encoder, sets: Iterable[Uids], batch_size: int) -> None:
        super().__init__(encoder.prepare, batch_size)
        self.encoder = encoder
        self.pools: dict[Uids, GramSet] = {uids: GramSet() for uids in sets}
        self._sets_of: dict[str, list[Uids]] = {}
        for uids in self.pools:
            for uid in uids:
                self._sets_of.setdefault(uid, []).append(uids)

    @property
    def pending(self) -> Collection[str]:
        return self._sets_of.keys()

    def take(self, uids: Sequence[str], prepared: Sequence[torch.Tensor]) -> None:
        layers = [_float64(layer) for layer in self.encoder.encode(prepared)]
        rows: dict[Uids, list[int]] = {}
        for row, uid in enumerate(uids):
            for key in self._sets_of[uid]:
                rows.setdefault(key, []).append(row)
        for key, own in rows.items():
            self.pools[key].add([layer[own] for layer in layers])


def _float64(layer: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = layer.detach().cpu().double().numpy()
    return array


class Grams:
    """The statistics of one encoder's Gram matrices for the images of one source."""

    def __init__(self, sets: ImageSets, encoder: Encoder, metrics: Sequence[Any]) -> None:
        self.encoder = encoder
        paired = [metric for metric in metrics if metric.paired]
        others = {
            uid: base
            for metric in paired
            for scored in sets.of(metric)
            for (uid, _), base in zip(scored.generated, scored.base, strict=True)
        }
        self._pairs = Pairs(encoder, paired, others, sets.batch_size)
        asked: dict[str, list[Uids]] = {REFERENCE: []}
        for metric in metrics:
            for scored in sets.of(metric) if metric.pooled else ():
                for row in metric.inputs:
                    if row.is_encoded:
                        asked.setdefault(row.collection, []).append(_uids(row.images(scored)))
        asked[REFERENCE] = [uids for uids in asked[REFERENCE] if self._key(uids) not in _known]
        self._pools = {name: Pools(encoder, uids, sets.batch_size) for name, uids in asked.items()}

    @property
    def consumers(self) -> list[Consumer]:
        """The consumers of the pass. `Pairs` reads the base model's images itself."""
        return [self._pairs, *self._pools.values()]

    def images(self, row: Input, images: Sequence[Item]) -> GramSet:
        """The mean and spread of these images' Gram matrices."""
        uids = _uids(images)
        if row.collection != REFERENCE:
            return self._pools[row.collection].pools[uids]
        _known.update((self._key(key), pool) for key, pool in self._pools[REFERENCE].pools.items())
        return _known[self._key(uids)]

    def paired(self, metric: Any, scored: ScoredSet) -> np.ndarray[Any, Any]:
        """The numbers [n] of a metric that compares each image with the base model's."""
        return np.array([self._pairs.values[metric.__name__, uid] for uid, _ in scored.generated])

    def texts(self, texts: Sequence[str]) -> Any:
        """BenchError: an encoder of Gram matrices encodes no texts."""
        return self.encoder.encode_text(texts)

    def _key(self, uids: Uids) -> tuple[str, Uids]:
        return self.encoder.record.hash, uids


def _uids(images: Sequence[Item]) -> Uids:
    return tuple(uid for uid, _ in images)
