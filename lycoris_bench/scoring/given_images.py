"""Images, texts and groups that are given to metrics directly, without a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lycoris_bench.data.images import SUFFIXES, read_image
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.encoders.resize import Picture

Array = np.ndarray[Any, Any]
OneImage = str | Path | Image.Image | Array
Images = str | Path | Sequence[OneImage]
ROLES = ("generated", "reference", "base")
NAMES = (*ROLES, "text", "groups", "weights")


@dataclass(frozen=True)
class GivenInputs:
    """What metrics ask for by name: images by role, a text and a diversity group of each
    generated image."""

    images: dict[str, Sequence[OneImage]]
    texts: tuple[str, ...] | None
    groups: Array

    @classmethod
    def of(
        cls,
        sources: dict[str, Images | None],
        prompts: str | Sequence[str] | None,
        diversity_per_prompt: bool,
    ) -> "GivenInputs":
        """Folders are listed and counts are checked; BenchError says what does not fit."""
        images = {role: _listed(role, one) for role, one in sources.items() if one is not None}
        n = len(images["generated"])
        if "base" in images:
            folders = all(isinstance(sources[role], str | Path) for role in ("generated", "base"))
            _check_pairs(images["generated"], images["base"], folders)
        texts = None if prompts is None else (prompts,) * n if isinstance(prompts, str) else prompts
        if texts is not None and len(texts) != n:
            raise BenchError(
                f"{len(texts)} prompts are given for {n} generated images; give one for each, or "
                "one text that holds for all"
            )
        if diversity_per_prompt and texts is None:
            raise BenchError("diversity_per_prompt groups images by their prompts; give prompts=")
        groups = np.zeros(n, dtype=int)
        if diversity_per_prompt:
            groups = np.unique(np.array(texts), return_inverse=True)[1]
        return cls(images, None if texts is None else tuple(texts), groups)

    def lacking(self, metric: Any) -> str | None:
        """What a metric needs and is not given, as the rest of a sentence."""
        for name in metric.inputs:
            if name not in NAMES:
                return f"needs '{name}', which only a study gives"
            if name in ROLES and name not in self.images:
                return f"needs images: give {name}="
            if name == "text" and self.texts is None:
                return "needs the images' texts: give prompts="
            if name == "groups" and max(np.bincount(self.groups)) < 2:
                return "needs several images in a group"
            if name == "weights" and min(len(images) for images in self.images.values()) < 2:
                return "needs several images on both sides"
        if metric.encoder == "gram" and not metric.pooled and "reference" in metric.inputs:
            return "compares pairs of Gram matrices, and a reference has none"
        return None

    def values(self, name: str) -> Any:
        """The values of an input that is neither images nor text."""
        if name == "groups":
            return self.groups
        return tuple(np.ones(len(self.images[role])) for role in ROLES[:2])

    def identity(self, metric: Any) -> list[Any]:
        """What the generated images are compared with, and in what groups."""
        found: list[Any] = []
        for name in metric.inputs:
            if name in ROLES[1:]:
                found.append([_content(image) for image in self.images[name]])
            elif name in ("text", "groups"):
                found.append(list(self.texts or ()) if name == "text" else self.groups.tolist())
        return found


def picture(image: OneImage) -> Picture:
    """The decoded image. BenchError: it cannot be read, or is no array of 8-bit RGB."""
    if isinstance(image, str | Path):
        return Picture(read_image(disk.expand(image)))
    if isinstance(image, Image.Image):
        return Picture(image)
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,)):
        what = f"an array of {image.dtype} {list(image.shape)}" if hasattr(image, "dtype") else (
            f"a {type(image).__name__}")  # fmt: skip
        raise BenchError(f"{what} is given as an image; allowed are a path, a PIL image, and an "
                         "array of uint8 [height, width, 3]")  # fmt: skip
    return Picture(Image.fromarray(image))


def _content(image: OneImage) -> str:
    """SHA-256 of the file, or of the pixels."""
    if isinstance(image, str | Path):
        return sha256(disk.read_bytes(disk.expand(image))).hexdigest()
    return sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def _listed(role: str, source: Images) -> Sequence[OneImage]:
    """The images of a folder, in the order of their names, or those of a list."""
    if not isinstance(source, str | Path):
        if not isinstance(source, Sequence) or not len(source):
            raise BenchError(f"{role} holds no images; give a folder, or a list of images")
        return source
    folder = disk.expand(source)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BenchError(f"{role}: {folder} {what}; give a folder of images, or a list of images")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
        has = f"; its folders are {', '.join(inside[:6])}" if inside else ""
        raise BenchError(f"{role}: {folder} holds no image ({', '.join(SUFFIXES)}){has}")
    return found


def _check_pairs(generated: Sequence[Any], base: Sequence[Any], by_name: bool) -> None:
    """Each generated image has the base model's image of its prompt and seed."""
    if len(generated) != len(base):
        raise BenchError(
            f"{len(generated)} generated images and {len(base)} of the base model are given; each "
            "is compared with the base model's image of its own prompt and seed"
        )
    for one, other in zip(generated, base, strict=True):
        if by_name and one.stem != other.stem:
            raise BenchError(
                f"{one} would be compared with {other}: images of two folders pair by their names; "
                "give lists to pair them by their order"
            )
