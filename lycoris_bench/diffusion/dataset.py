"""The training images of a study: a tree <category>/<class>[/<sub-class>] of pictures, each with
a caption. A folder may be called `20_name`, as kohya's trainer has it: it repeats 20 times."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lycoris_bench.diffusion.caption_files import TEXT, CaptionFiles
from lycoris_bench.diffusion.images import SUFFIXES, DataError, check
from lycoris_bench.vocabulary import Concept, uid

OTHERS = "others"  # the sub-class of a class's leftovers: trained on, but no prompt asks for it
FLAT = "concepts"  # the category of a folder that holds nothing but `20_name` folders of images


@dataclass(frozen=True)
class Example:
    """An image and its caption. `size` is (width, height) as shown; `sha256` is its bytes'.

    `repeats` is how often an epoch shows it where that is given, not balanced."""

    path: Path
    caption: str
    concept: Concept
    size: tuple[int, int]
    sha256: str
    repeats: int | None = None

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
        return uid([
            [str(e.concept), e.path.name, e.sha256, e.caption, *([e.repeats] if e.repeats else [])]
            for e in self.examples
        ])  # fmt: skip

    def repeats(self, per_class: int) -> list[int]:
        """How often each example is seen in an epoch: as given, else so that every class is seen
        about `per_class` times: round(per_class / images of the class), at least once (D.1).

        The sub-classes of a class share one number, so that the rare ones stay rare."""
        classes = [(e.concept.category, e.concept.class_name) for e in self.examples]
        images = Counter(classes)
        balanced = [max(1, (2 * per_class + images[c]) // (2 * images[c])) for c in classes]
        return [e.repeats or times for e, times in zip(self.examples, balanced, strict=True)]

    def repeating(self, given: Mapping[Concept, int]) -> "Dataset":
        """The same, with the repeats that are given for some concepts."""
        return Dataset(
            tuple(replace(e, repeats=given.get(e.concept, e.repeats)) for e in self.examples)
        )

    def recaptioned(self, folder: str | Path, extension: str) -> "Dataset":
        """The same images of `folder` with their other captions: `0001.tags` for `.tags`."""
        problems: list[str] = []
        captions = CaptionFiles(Path(folder), extension, problems)
        found = [(example, captions.of(example.path)) for example in self.examples]
        if problems:
            raise DataError(f"dataset {folder}", problems)
        return Dataset(tuple(replace(example, caption=text or "") for example, text in found))


def declared(counts: Mapping[Concept, int], size: tuple[int, int]) -> Dataset:
    """A dataset that is not there, of so many images of one size: to plan with, not to train."""
    return Dataset(
        tuple(
            Example(Path(str(concept), str(k)), "", concept, size, "")
            for concept, images in counts.items()
            for k in range(images)
        )
    )


def natural(path: Path) -> tuple[object, ...]:
    """Sort key of a name: digits compare as numbers, letters without their case; names that are
    equal but for case or leading zeros come in the order of their characters.

    >>> sorted(["dog10", "dog2", "Dog", "dog", "cat"], key=lambda name: natural(Path(name)))
    ['cat', 'Dog', 'dog', 'dog2', 'dog10']
    """
    # Odd places of the split hold the digits, so numbers never meet text in a comparison. A number
    # is its length and its digits: int() refuses very long ones.
    parts = re.split(r"([0-9]+)", path.name)
    numbers = [(len(digits := part.lstrip("0")), digits) for part in parts[1::2]]
    words = [part.casefold() for part in parts[::2]]
    mixed = [value for pair in zip(words, [*numbers, ()], strict=True) for value in pair]
    return tuple(mixed[:-1]), path.name


def scan(folder: str | Path, *, captions: bool = True) -> Dataset:
    """Reads the tree; `captions=False` for held-out images, which need none.

    Raises one `DataError` with everything that is wrong, so that it can be mended in one go."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"dataset {folder}", ["there is no such folder"])
    problems: list[str] = []
    try:
        files = CaptionFiles(folder, TEXT, problems) if captions else None
        examples = _walk(folder, files, problems)
        if files:
            files.complain_of_the_rest()
    except OSError as error:
        problems.append(f"{error.filename} cannot be read ({error.strerror})")
    if problems:
        raise DataError(f"dataset {folder}", problems)
    return Dataset(tuple(examples))


def _walk(folder: Path, captions: CaptionFiles | None, problems: list[str]) -> list[Example]:
    examples: list[Example] = []
    for category in _folders(folder):
        if _kohya(category.name)[0] and _images(category) and not _folders(category):
            concept = Concept(FLAT, _kohya(category.name)[1])
            examples += _examples(category, concept, folder, captions, problems)
            continue
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
            yield Concept(category, _kohya(place.name)[1]), place
            continue
        why = f"an image must lie in a sub-class's folder, as the class has some (or '{OTHERS}')"
        _no_images(place, place.parent.parent, why, problems)
        for subclass in subclasses:
            concept = Concept(category, place.name, _kohya(subclass.name)[1])
            if deeper := _folders(subclass):
                problems.append(f"'{concept}/{deeper[0].name}' is a folder in a sub-class")
            yield concept, subclass


def _examples(
    place: Path, concept: Concept, root: Path, captions: CaptionFiles | None, problems: list[str]
) -> Iterator[Example]:
    images, repeats = _images(place), _kohya(place.name)[0]
    stems = {image.stem for image in images}
    for text in _entries(place) if captions else []:
        if text.suffix == TEXT and text.stem not in stems:
            problems.append(f"{text.relative_to(root)} is a caption without an image beside it")
    for image in images:
        name = image.relative_to(root)
        try:
            data = image.read_bytes()
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
            continue
        size = check(data)
        caption = captions.of(image) if captions else ""
        if isinstance(size, str):
            problems.append(f"{name}: {size}")
        elif caption is not None:
            content = hashlib.sha256(data).hexdigest()
            yield Example(image, caption, concept, size, content, repeats)


def _kohya(name: str) -> tuple[int | None, str]:
    """Repeats and name of a folder `20_name`; None and the name of any other."""
    found = re.fullmatch(r"([1-9][0-9]*)_(.+)", name)
    return (int(found[1]), found[2]) if found else (None, name)


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, without hidden files such as .DS_Store or ._image.png."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _images(folder: Path) -> list[Path]:
    return [p for p in _entries(folder) if p.suffix.lower() in SUFFIXES and p.is_file()]


def _no_images(folder: Path, root: Path, why: str, problems: list[str]) -> None:
    problems += [f"{image.relative_to(root)}: {why}" for image in _images(folder)]
