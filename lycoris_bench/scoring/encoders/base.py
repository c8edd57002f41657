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
from lycoris_bench.scoring.encoders import exact_resize
from lycoris_bench.scoring.encoders.arithmetic import TF32, fp32
from lycoris_bench.scoring.encoders.resize import RESIZINGS, Picture, rgb

Features = Tensor | list[Tensor]
Outputs = Literal["image", "image+text", "gram", "copy"]


@dataclass(frozen=True)
class Record:
    """Everything that the features of an image depend on, apart from the image.

    `weights` is a repository of the model hub or a local file, "" where the encoder has none, and
    `revision` that of the hub, or of the encoder's own code.
    `sha256` is that of the weights file: None until it is read (`resolved`), else it is checked. Of
    an encoder without a file it is that of its tensors, known once it is loaded.
    To pin a repository, `revision` is a commit, 40 hex digits, or `sha256` is declared.
    `resize` is one of RESIZINGS, or `crop+tf32` for one in TF32 (`arithmetic`).
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

    @property
    def mode(self) -> str:
        """How images are resized, whatever the arithmetic."""
        return self.resize.removesuffix(TF32)

    @property
    def tf32(self) -> bool:
        """Whether products are computed in TF32, on a GPU that has it."""
        return self.resize.endswith(TF32)

    def with_resize(self, resize: str) -> "Record":
        """The same encoder with another resizing."""
        if resize.removesuffix(TF32) not in RESIZINGS:
            raise BenchError(unknown("resizing", resize, RESIZINGS))
        return replace(self, resize=resize)


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
        """(x / 255 - mean) / std of the resized RGB image: float32 [3, h, w] on the CPU. For CUDA
        its own pixels, uint8 [3, h, w], of which `encode` makes the same numbers there."""
        picture = image if isinstance(image, Picture) else Picture(image)
        record = self.record
        if self.device.type == "cuda":
            return picture.once("pixels", lambda: pixels(picture.image))

        def normalised() -> Tensor:
            rgb = np.asarray(picture.resized(record.mode, record.size))
            height, width, _ = rgb.shape
            rows = rgb.reshape(height, width * 3).astype(np.float32)  # long rows, for speed
            rows /= np.float32(255)
            rows -= np.tile(np.array(record.mean, np.float32), width)
            rows /= np.tile(np.array(record.std, np.float32), width)
            return torch.from_numpy(rows).view(height, width, 3).permute(2, 0, 1)

        return picture.once((record.mode, record.size, record.mean, record.std), normalised)

    @torch.inference_mode()
    def encode(self, images: Tensor | Sequence[Tensor]) -> Features:
        """Prepared images -> float32 [n, d] on the device, not normalised; or Gram stacks.

        A list may mix shapes, as `scale` makes them: each shape is one batch, and the features
        come back in the order of the images. The caller chooses n: all of them are encoded at
        once."""
        if not len(images):
            raise BenchError(f"encoder {self.record.name} was given no images")
        if isinstance(images, Tensor):
            return self._features(self._input(images))
        groups = _by_shape(images)
        if len(groups) > 1 and images[0].dtype == torch.uint8:
            images, groups = self._resized(images, groups)
        if len(groups) == 1:
            return self._features(self._input(torch.stack(list(images))))
        parts = [self._features(self._input(torch.stack([images[k] for k in g]))) for g in groups]
        order = torch.tensor([row for group in groups for row in group]).argsort().to(self.device)
        if stacks := [part for part in parts if isinstance(part, list)]:
            return [torch.cat(layer)[order] for layer in zip(*stacks, strict=True)]
        return torch.cat([part for part in parts if isinstance(part, Tensor)])[order]

    def _resized(
        self, images: Sequence[Tensor], groups: list[list[int]]
    ) -> tuple[list[Tensor], list[list[int]]]:
        """Pixels of several sizes as the network takes them, on the device, and grouped anew."""
        made = {
            row: one
            for group in groups
            for row, one in zip(
                group, self._input(torch.stack([images[k] for k in group])), strict=True
            )
        }
        ready = [made[row] for row in range(len(images))]
        return ready, _by_shape(ready)

    def _input(self, images: Tensor) -> Tensor:
        """A batch on the device, in one order in memory; pixels are resized and normalised."""
        images = images.to(self.device)
        if images.dtype != torch.uint8:
            return images.contiguous()
        record = self.record
        resized = exact_resize.resized(images, record.mode, record.size).float()
        # Tensors, since by a number CUDA divides otherwise than the CPU, in the last bit.
        white, mean, std = (
            torch.tensor(v, device=self.device).view(-1, 1, 1)
            for v in ([255.0], record.mean, record.std)
        )
        return ((resized / white - mean) / std).contiguous()

    def _features(self, images: Tensor) -> Features:
        """Calls `forward`; an error names the encoder."""
        name = titled("encoder", self.record.name, type(self))
        with doing(f"encoding images with {name}"), fp32(self.record.tf32):
            return self.forward(images)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Calls `encode_text`; an error names the encoder."""
        name = titled("encoder", self.record.name, type(self))
        with doing(f"encoding texts with {name}"), fp32(self.record.tf32):
            return self.encode_text(texts)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Texts -> float32 [n, d] in the space of the images; for "image+text" alone."""
        raise BenchError(f"encoder {self.record.name} has no text side: its outputs are images")


def pixels(image: Image.Image) -> Tensor:
    """uint8 [3, h, w]. BenchError: the image is not RGB."""
    return torch.from_numpy(np.array(rgb(image))).permute(2, 0, 1)


def _by_shape(images: Sequence[Tensor]) -> list[list[int]]:
    """The rows of each shape."""
    rows: dict[torch.Size, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image.shape, []).append(row)
    return list(rows.values())
