"""The training images of a study: a tree <category>/<class>[/<sub-class>] of pictures, each with
a caption of the same stem in a .txt file."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lycoris_bench.diffusion.images import SUFFIXES, DataError, check
from lycoris_bench.vocabulary import Concept, uid

OTHERS = "others"  # the sub-class of a class's leftovers: trained on, but no prompt asks for it


@dataclass(frozen=True)
class Example:
    """An image and its caption. `size` is (width, height) as shown; `sha256` is its bytes'."""

    path: Path
    caption: str
    concept: Concept
    size: tuple[int, int]
    sha256: str

    @property
    def generate(self) -> bool:
        """Whether images of its concept are generated and scored."""
        return self.concept.subclass != OTHERS


@dataclass(frozen=True)
class Dataset:
    """Examples in the order of their folders and names, 2 before 10."""

    examples: tuple[Example, ...]

    @cached_property
    def concepts(self) -> list[Concept]:
        return list(dict.fromkeys(example.concept for example in self.examples))

    def of(self, concept: Concept) -> list[Example]:
        return [example for example in self.examples if example.concept == concept]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all images, captions and concepts; where the folder lies does not matter."""
        return uid([[str(e.concept), e.path.name, e.sha256, e.caption] for e in self.examples])

    def repeats(self, per_class: int) -> list[int]:
        """How often each example is seen in an epoch, so that every class is seen about
        `per_class` times: round(per_class / images of the class), at least once (paper D.1).

        The sub-classes of a class share one number, so that the rare ones stay rare."""
        classes = [(e.concept.category, e.concept.class_name) for e in self.examples]
        images = Counter(classes)
        return [max(1, (2 * per_class + images[c]) // (2 * images[c])) for c in classes]


def natural(path: Path) -> tuple[object, ...]:
    """Sort key of a name: digits compare as numbers.

    >>> sorted(["b10", "b2", "a"], key=lambda name: natural(Path(name)))
    ['a', 'b2', 'b10']
    """
    # Odd places of the split hold the digits, so numbers never meet text in a comparison.
    parts = re.split(r"([0-9]+)", path.name)
    return (*(int(part) if k % 2 else part.casefold() for k, part in enumerate(parts)), path.name)


def scan(folder: str | Path, *, captions: bool = True) -> Dataset:
    """Reads the tree; `captions=False` for held-out images, which need none.

    Raises one `DataError` with everything that is wrong, so that it can be mended in one go."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"dataset {folder}", ["there is no such folder"])
    problems: list[str] = []
    try:
        examples = _walk(folder, captions, problems)
    except OSError as error:
        problems.append(f"{error.filename} cannot be read ({error.strerror})")
    if problems:
        raise DataError(f"dataset {folder}", problems)
    return Dataset(tuple(examples))


def _walk(folder: Path, captions: bool, problems: list[str]) -> list[Example]:
    examples: list[Example] = []
    for category in _folders(folder):
        _no_images(category, folder, "an image must lie in a class's folder", problems)
        classes = _folders(category)
        if not classes:
            problems.append(f"category '{category.name}' has no class; a class is a folder in it")
        for concept, place in _concepts(category.name, classes, problems):
            found = list(_examples(place, concept, folder, captions, problems))
            if not found and not _images(place):
                problems.append(f"'{concept}' has no images ({', '.join(SUFFIXES)})")
            examples += found
    _no_images(folder, folder, "an image must lie in category/class", problems)
    if not examples and not problems:
        problems.append("it is empty; images are expected in category/class[/sub-class]")
    return examples


def _concepts(
    category: str, classes: list[Path], problems: list[str]
) -> Iterator[tuple[Concept, Path]]:
    for place in classes:
        subclasses = _folders(place)
        if not subclasses:
            yield Concept(category, place.name), place
            continue
        why = f"an image must lie in a sub-class's folder, as the class has some (or '{OTHERS}')"
        _no_images(place, place.parent.parent, why, problems)
        for subclass in subclasses:
            concept = Concept(category, place.name, subclass.name)
            if deeper := _folders(subclass):
                problems.append(f"'{concept}/{deeper[0].name}' is a folder in a sub-class")
            yield concept, subclass


def _examples(
    place: Path, concept: Concept, root: Path, captions: bool, problems: list[str]
) -> Iterator[Example]:
    images = _images(place)
    stems = {image.stem for image in images}
    for text in _entries(place) if captions else []:
        if text.suffix == ".txt" and text.stem not in stems:
            problems.append(f"{text.relative_to(root)} is a caption without an image beside it")
    for image in images:
        name = image.relative_to(root)
        try:
            data = image.read_bytes()
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
            continue
        size = check(data)
        caption = _caption(image.with_suffix(".txt"), root, problems) if captions else ""
        if isinstance(size, str):
            problems.append(f"{name}: {size}")
        elif caption is not None:
            yield Example(image, caption, concept, size, hashlib.sha256(data).hexdigest())


def _caption(path: Path, root: Path, problems: list[str]) -> str | None:
    """The caption on one line, or None and a problem."""
    name = path.relative_to(root)
    try:
        text = " ".join(path.read_text(encoding="utf-8-sig").split())
    except FileNotFoundError:
        problems.append(f"caption {name} is missing")
    except UnicodeDecodeError:
        problems.append(f"caption {name} is not UTF-8 text")
    except OSError as error:
        problems.append(f"caption {name} cannot be read ({error.strerror})")
    else:
        if text:
            return text
        problems.append(f"caption {name} is empty")
    return None


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, without hidden files such as .DS_Store or ._image.png."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _images(folder: Path) -> list[Path]:
    return [p for p in _entries(folder) if p.suffix.lower() in SUFFIXES and p.is_file()]


def _no_images(folder: Path, root: Path, why: str, problems: list[str]) -> None:
    problems += [f"{image.relative_to(root)}: {why}" for image in _images(folder)]
