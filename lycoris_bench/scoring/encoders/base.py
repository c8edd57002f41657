"""The base class of encoders: a record of everything that features depend on, and `encode`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lycoris_bench.files.identity import uid
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.registry import titled
from lycoris_bench.scoring.encoders.resize import RESIZINGS, Picture

Features = Tensor | list[Tensor]
Outputs = Literal["image", "image+text", "gram"]


@dataclass(frozen=True)
class Record:
    """Everything that the features of an image depend on, apart from the image.

    `weights` is a repository of the model hub or a local file, "" where the encoder has none, and
    `revision` that of the hub, or of the encoder's own code.
    `sha256` is that of the weights file: None until it is read (`resolved`), else it is checked. Of
    an encoder without a file it is that of its tensors, known once it is loaded.
    To pin a repository, `revision` is a commit, 40 hex digits, or `sha256` is declared.
    """

    name: str
    weights: str
    revision: str
    sha256: str | None
    size: int
    resize: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    outputs: Outputs

    @property
    def hash(self) -> str:
        """The hash in the key of stored features: with another preprocessing or other weights they
        are never reused. Weights with a SHA-256 are identified by it, wherever they lie."""
        return uid(self if self.sha256 is None else replace(self, weights="", revision=""))

    def with_resize(self, mode: str) -> "Record":
        """The same encoder with another resizing."""
        if mode not in RESIZINGS:
            raise BenchError(unknown("resizing", mode, RESIZINGS))
        return replace(self, resize=mode)


class Encoder(ABC):
    """Encodes images, and for some encoders texts, as features. Subclasses are final.

    A subclass sets `record`, its default, `files`, the names that its weights have in a repository,
    the first that is there, and `gigabytes`, their size; it takes weights in
    `__init__(record, device)`, and writes `forward`. It raises MissingWeights, WrongWeights or
    ImportError with what to do about it.
    """

    record: Record
    device: torch.device
    files: ClassVar[tuple[str, ...]] = ()
    gigabytes: ClassVar[float | None] = None
    resizings: ClassVar[tuple[str, ...]] = tuple(RESIZINGS)

    @abstractmethod
    def forward(self, batch: Tensor) -> Features:
        """[n, 3, h, w] on the device -> [n, d], or for "gram" one [n, c, c] a layer."""

    def with_record(self, record: Record) -> Self:
        """The encoder with another record, such as another resizing; it shares the network."""
        other = copy(self)
        other.record = record
        return other

    def prepare(self, image: Image.Image | Picture) -> Tensor:
        """(x / 255 - mean) / std of the resized RGB image: float32 [3, h, w] on the CPU."""
        picture = image if isinstance(image, Picture) else Picture(image)
        resized = np.array(picture.resized(self.record.resize, self.record.size))
        pixels = torch.from_numpy(resized).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.record.mean, self.record.std))
        return (pixels - mean) / std

    @torch.inference_mode()
    def encode(self, images: Tensor | Sequence[Tensor]) -> Features:
        """Prepared images -> float32 [n, d] on the device, not normalised; or Gram stacks.

        A list may mix shapes, as `scale` makes them: each shape is one batch, and the features
        come back in the order of the images. The caller chooses n: all of them are encoded at
        once."""
        if not len(images):
            raise BenchError(f"encoder {self.record.name} was given no images")
        if isinstance(images, Tensor):
            return self._features(images)
        rows: dict[torch.Size, list[int]] = {}
        for row, image in enumerate(images):
            rows.setdefault(image.shape, []).append(row)
        parts = [
            self._features(torch.stack([images[row] for row in same])) for same in rows.values()
        ]
        order = torch.tensor([row for same in rows.values() for row in same]).argsort()
        if stacks := [part for part in parts if isinstance(part, list)]:
            return [torch.cat(layer)[order.to(self.device)] for layer in zip(*stacks, strict=True)]
        vectors = [part for part in parts if isinstance(part, Tensor)]
        return torch.cat(vectors)[order.to(self.device)]

    def _features(self, images: Tensor) -> Features:
        """Calls `forward`; an error names the encoder."""
        with doing(f"encoding images with {titled('encoder', self.record.name, type(self))}"):
            return self.forward(images.to(self.device))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Calls `encode_text`; an error names the encoder."""
        with doing(f"encoding texts with {titled('encoder', self.record.name, type(self))}"):
            return self.encode_text(texts)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Texts -> float32 [n, d] in the space of the images; for "image+text" alone."""
        raise BenchError(f"encoder {self.record.name} has no text side: its outputs are images")
