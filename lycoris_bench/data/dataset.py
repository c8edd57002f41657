"""The training images of a study: a tree <category>/<class>[/<sub-class>] of pictures, each with
a caption. A folder may be called `20_name`, as kohya's trainer has it: it repeats 20 times."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lycoris_bench.data.caption_files import TEXT, CaptionFiles
from lycoris_bench.data.concept_folders import OTHERS, Place, places
from lycoris_bench.data.folders import Folders
from lycoris_bench.data.images import DataError
from lycoris_bench.data.seen import Seen, identity
from lycoris_bench.files import disk
from lycoris_bench.files.identity import uid
from lycoris_bench.study.records import Concept


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

    def at(self, place: Callable[[Path], Path]) -> "Dataset":
        """The dataset on a machine on which each image lies at `place(image)`."""
        return Dataset(tuple(replace(e, path=place(e.path)) for e in self.examples))

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
        """The dataset with the repeats that are given for some concepts."""
        return Dataset(
            tuple(replace(e, repeats=given.get(e.concept, e.repeats)) for e in self.examples)
        )

    def recaptioned(
        self, folder: str | Path, extension: str, words: Path | None = None
    ) -> "Dataset":
        """The dataset of `folder` with captions of another extension: `0001.tags` for `.tags`."""
        problems: list[str] = []
        captions = CaptionFiles(Folders(Path(folder), problems), extension, words)
        captioned = [(example, captions.of(example.path)) for example in self.examples]
        captions.report(len(captioned), unused=False)
        if problems:
            raise DataError(f"dataset {folder}", problems)
        return Dataset(tuple(replace(example, caption=text or "") for example, text in captioned))


def declared(counts: Mapping[Concept, int], size: tuple[int, int]) -> Dataset:
    """A dataset without files, with the given number of images of each concept, all of one size,
    to plan a study before its images are there."""
    return Dataset(
        tuple(
            Example(Path(str(concept), str(k)), "", concept, size, "")
            for concept, images in counts.items()
            for k in range(images)
        )
    )


def scan(
    folder: str | Path, *, captions: bool = True, words: Path | None = None, what: str = "dataset"
) -> Dataset:
    """Reads the tree; `captions=False` for held-out images, which need none. `words` is the prompt
    tree of the study, for the message about missing captions; `what` is the study's word for the
    folder.

    Every image is decoded once. DataError: names everything that is wrong."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{what} {folder}", ["there is no such folder"])
    problems: list[str] = []
    folders, seen = Folders(folder, problems), Seen()
    files = CaptionFiles(folders, TEXT, words) if captions else None
    images = [
        (image, place)
        for place in places(folders, captions=captions)
        for image in folders.images(place.path)
    ]
    examples = [_example(image, place, folders, files, seen) for image, place in images]
    if files:
        files.report(len(images), unused=True)
    if not images and not problems:
        problems.append(
            "it is empty; images are expected in category/class[/sub-class], or, of one concept "
            "alone, in the folder itself"
        )
    if problems:
        raise DataError(f"{what} {folder}", problems)
    return Dataset(tuple(example for example in examples if example))


def _example(
    image: Path, place: Place, folders: Folders, captions: CaptionFiles | None, seen: Seen
) -> Example | None:
    """An image with its caption; None where either is faulty, which is added to the problems."""
    caption = captions.of(image) if captions else ""
    try:
        data = disk.read_bytes(image)
    except disk.FileError as error:
        folders.problems.append(str(error).replace(str(image), folders.name(image)))
        return None
    content = identity(data)
    size = seen.size(data, content)
    if isinstance(size, str):
        folders.problems.append(f"{folders.name(image)}: {size}")
        return None
    if caption is None:
        return None
    return Example(image, caption, place.concept, size, content, place.repeats)
