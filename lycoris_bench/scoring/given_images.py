"""Checks the images and texts given to `score_images` and makes an image set of them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lycoris_bench.data.folders import Folders
from lycoris_bench.data.images import SUFFIXES, read_image
from lycoris_bench.files import disk
from lycoris_bench.messages.arguments import NAMES, TEXT, Allowed
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.metrics.inputs import Item, ScoredSet

OneImage = str | Path | Image.Image | np.ndarray[Any, Any]
Images = str | Path | Sequence[OneImage] | np.ndarray[Any, Any]
ALLOWED = "a folder, a list of images, or an array of uint8 [n, height, width, 3]"
PROMPTS = Allowed("a text, or a list of texts, none of them empty,", lambda value: (
    value is None or (TEXT.holds(value) and bool(value.strip()))
    or (NAMES.holds(value) and all(text.strip() for text in value))
))  # fmt: skip
KEYWORDS = {"text": "prompts"}  # input -> keyword of `score_images`, where their names differ
SEVERAL = {"groups": "several images in a group", "weights": "several images on both sides"}


@dataclass(frozen=True)
class GivenImages:
    """An image set for metrics, and the image behind each uid."""

    scored: ScoredSet
    images: dict[str, OneImage]

    @classmethod
    def of(
        cls,
        generated: Images,
        reference: Images | None,
        base: Images | None,
        prompts: str | Sequence[str] | None,
        diversity_per_prompt: bool,
    ) -> "GivenImages":
        """Lists folders and checks counts. BenchError: says what does not fit."""
        PROMPTS.check("prompts", prompts)
        if generated is None:
            raise BenchError(f"generated is None; {ALLOWED} is allowed")
        drawn, real = _listed("generated", generated), _listed("reference", reference)
        pairs = _listed("base", base)
        if base is not None:
            folders = isinstance(generated, str | Path) and isinstance(base, str | Path)
            _check_pairs(drawn, pairs, folders)
        texts = [prompts] * len(drawn) if isinstance(prompts, str) else list(prompts or ())
        if prompts is not None and len(texts) != len(drawn):
            raise BenchError(
                f"{plural(len(texts), 'prompt')} for {plural(len(drawn), 'generated image')}; give "
                "one for each, or one text that holds for all"
            )
        if diversity_per_prompt and not texts:
            raise BenchError("diversity_per_prompt groups images by their prompts; give prompts=")
        order = {text: k for k, text in enumerate(dict.fromkeys(texts))}
        scored = ScoredSet(
            prompt_type="",
            generated=_items("generated", drawn),
            reference=_items("reference", real),
            base=_items("base", pairs),
            texts=texts,
            groups=[order[text] for text in texts] if diversity_per_prompt else [0] * len(drawn),
            weights=([1.0] * len(drawn), [1.0] * len(real)),
        )
        items = zip(
            [*scored.generated, *scored.reference, *scored.base], [*drawn, *real, *pairs],
            strict=True,
        )  # fmt: skip
        return cls(scored, {uid: image for (uid, _), image in items})

    def lacking(self, metric: Any) -> str | None:
        """The first input that a metric needs and that is not given, as the rest of a sentence;
        else None."""
        for row in metric.inputs:
            if not row.available(self.scored):
                if row.name in SEVERAL:
                    return f"needs {SEVERAL[row.name]}"
                if row.name in ("reference", "base", "text"):
                    return f"needs {KEYWORDS.get(row.name, row.name)}=, which is not given"
                return f"needs {row.needs or row.name}"
        return None

    def picture(self, item: Item) -> Picture:
        """The decoded image. BenchError: it cannot be read, or is no array of 8-bit RGB."""
        image = self.images[item[0]]
        if isinstance(image, str | Path):
            return Picture(read_image(disk.expand(image)))
        return Picture(image if isinstance(image, Image.Image) else Image.fromarray(image))


def _items(role: str, images: Sequence[OneImage]) -> list[Item]:
    """(SHA-256, path) of each image; an image in memory has its number for a path."""
    items = []
    for k, image in enumerate(images):
        if isinstance(image, str | Path):
            path = disk.expand(image)
            items.append((sha256(disk.read_bytes(path)).hexdigest(), path))
        else:
            if isinstance(image, Image.Image) and image.mode != "RGB":
                raise BenchError(
                    f"{role}[{k}] is an image of mode {image.mode}; convert it to RGB: "
                    'image.convert("RGB")'
                )
            known = isinstance(image, Image.Image | np.ndarray)  # a tensor may lie on a GPU
            pixels = np.asarray(image) if known else np.zeros(0)
            rgb = pixels.dtype == np.uint8 and pixels.shape[2:] == (3,)
            if not (rgb or isinstance(image, Image.Image)) or not pixels.size:
                given = f"of type {type(image).__name__}"
                if isinstance(image, np.ndarray):
                    given = f"an array of {pixels.dtype} {list(pixels.shape)}"
                elif isinstance(image, Image.Image):
                    given = f"an image of {image.width} x {image.height} pixels"
                raise BenchError(f"{role}[{k}] is {given}; a path, a PIL image, or an array of "
                                 "uint8 [height, width, 3] is allowed")  # fmt: skip
            content = f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()
            items.append((sha256(content).hexdigest(), Path(str(k))))
    return items


def _listed(role: str, source: Images | None) -> Sequence[OneImage]:
    """The images of a folder, in the order of their names, or those of a list or of an array
    [n, h, w, 3]. Warns of what it leaves out of a folder, other than hidden and text files."""
    if source is None:
        return ()
    if isinstance(source, np.ndarray) and source.ndim == 4:
        source = list(source)
    if not isinstance(source, str | Path):
        if not isinstance(source, Sequence) or isinstance(source, bytes):
            one = isinstance(source, Image.Image | np.ndarray)
            given = "one image" if one else f"of type {type(source).__name__}"
            more = f"; one image stands in a list: {role}=[image]" if one else ""
            raise BenchError(f"{role} is {given}; {ALLOWED} is allowed{more}")
        if not len(source):
            raise BenchError(f"{role} holds no images; {ALLOWED} is allowed")
        return source
    folder = disk.expand(source)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BenchError(f"{role}: {folder} {what}; give a folder of images, or a list of images")
    left_out: list[str] = []
    listed = Folders(folder, left_out)
    found, inside = sorted(listed.images(folder)), [one.name for one in listed.folders(folder)]
    left_out += [f"{name} is a folder" for name in inside] if found else []
    if left_out:
        rest = f"; and {len(left_out) - 6} others" if len(left_out) > 6 else ""
        warnings.warn(f"{role}: of {folder} is left out: {'; '.join(left_out[:6])}{rest}",
                      stacklevel=4)  # fmt: skip
    if not found:
        has = f"; its folders are {', '.join(inside[:6])}" if inside else ""
        raise BenchError(f"{role}: {folder} holds no image ({', '.join(SUFFIXES)}){has}")
    return found


def _check_pairs(generated: Sequence[Any], base: Sequence[Any], by_name: bool) -> None:
    """BenchError: an image has no partner in the other list, or two folders' names differ."""
    if len(generated) != len(base):
        raise BenchError(
            f"{plural(len(generated), 'generated image')} and {plural(len(base), 'image')} of the "
            "base model; each is compared with the base model's image of its own prompt and seed"
        )
    for one, other in zip(generated, base, strict=True):
        if by_name and one.stem != other.stem:
            raise BenchError(
                f"{one} would be compared with {other}: images of two folders pair by their names; "
                "give lists to pair them by their order"
            )
