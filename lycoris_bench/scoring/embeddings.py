"""Embedding vectors of images and texts. Those of images are stored by encoder record and image,
so that a run computes them once for all metrics."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load, save

from lycoris_bench.files import disk
from lycoris_bench.files.sealed import check, seal
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.encoders.base import Encoder
from lycoris_bench.scoring.feature_pass import Consumer
from lycoris_bench.scoring.image_sets import ImageSets
from lycoris_bench.scoring.metrics.inputs import Input, Item

Array = np.ndarray[Any, Any]


class Embedder(Consumer):
    """Encodes the images of one collection and stores the features, unless all are stored."""

    def __init__(
        self, store: Store, branch: Path, encoder: Encoder, items: Sequence[Item], batch_size: int
    ) -> None:
        super().__init__(encoder.prepare, batch_size)
        record = encoder.record
        self.encoder, self.store = encoder, store
        self.path = store.features(branch, f"{record.name}-{record.resize}-{record.hash}")
        uids = list(dict(items))
        stored = _read(self.path)
        for part in () if stored else store.part_features(branch):
            stored |= _read(part / self.path.name)
        complete = set(uids) <= stored.keys()
        self.features: dict[str, Array] = stored if complete else {}
        self._pending = [] if complete else uids

    @property
    def pending(self) -> Collection[str]:
        return self._pending

    def take(self, uids: Sequence[str], prepared: Sequence[torch.Tensor]) -> None:
        features: Any = self.encoder.encode(prepared)
        self.features.update(zip(uids, features.float().cpu().numpy(), strict=True))

    def flush(self) -> None:
        """Stores the features of all pending images."""
        super().flush()
        features = np.stack([self.features[uid] for uid in self._pending])
        content = save({"features": features}, {"uids": json.dumps(self._pending)})
        self.store.write(self.path, seal(content))


def _read(path: Path) -> dict[str, Array]:
    """uid -> features; empty where the file is missing, damaged or does not fit its index."""
    try:
        content = disk.read_bytes(path)
        uids = json.loads(check(content)["uids"])
        features = load(content)["features"]
    except (KeyError, ValueError):  # errors of files and seals are ValueErrors
        return {}
    fits = features.ndim == 2 and isinstance(uids, list) and len(uids) == len(features)
    return dict(zip(uids, features, strict=True)) if fits else {}


class Embedders:
    """The embedders of a source, shared between encoders whose network gets the same pixels, as
    several resizings of square images do."""

    def __init__(self, sets: ImageSets) -> None:
        self.sets = sets
        self._made: dict[tuple[Any, ...], Embedder] = {}

    def of(self, name: str, encoder: Encoder) -> Embedder:
        """The embedder of a collection. The resizing of the first encoder that shares it names the
        stored file."""
        collection = self.sets.collection(name)
        record = encoder.record
        alike = replace(record, resize="tf32" if record.tf32 else "")
        key = (collection.branch, alike if collection.square else record)
        if key not in self._made:
            self._made[key] = Embedder(
                self.sets.store, collection.branch, encoder, collection.items,
                self.sets.batch_size,
            )  # fmt: skip
        return self._made[key]


class Embeddings:
    """The embedding vectors of one encoder for the images and texts of one source."""

    def __init__(
        self, sets: ImageSets, encoder: Encoder, metrics: Sequence[Any], embedders: Embedders
    ) -> None:
        self.sets, self.encoder = sets, encoder
        rows = [row for metric in metrics if sets.of(metric) for row in metric.inputs]
        names = dict.fromkeys(row.collection for row in rows if row.is_encoded)
        self._embedders = {name: embedders.of(name, encoder) for name in names}

    @property
    def consumers(self) -> list[Consumer]:
        """The embedders, which need the images whose features are not stored."""
        return list(self._embedders.values())

    def images(self, row: Input, images: Sequence[Item]) -> Array:
        """The features [n, d] of these images."""
        features = self._embedders[row.collection].features
        return np.stack([features[uid] for uid, _ in images])

    def texts(self, texts: Sequence[str]) -> Array:
        """The features [n, d] of these texts."""
        return np.stack([self._of_texts[text] for text in texts])

    @cached_property
    @torch.inference_mode()
    def _of_texts(self) -> dict[str, Array]:
        texts = sorted({text for scored in self.sets.all for text in scored.texts if text})
        size = self.sets.batch_size
        parts = [self.encoder.encode_texts(texts[k : k + size]) for k in range(0, len(texts), size)]
        return dict(zip(texts, torch.cat(parts).float().cpu().numpy(), strict=True))
