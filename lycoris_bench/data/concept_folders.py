"""Maps the folders of a dataset to concepts, with the repeats in their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lycoris_bench.data.caption_files import TEXT
from lycoris_bench.data.folders import Folders
from lycoris_bench.data.images import SUFFIXES
from lycoris_bench.files import disk
from lycoris_bench.study import concept_words
from lycoris_bench.study.records import Concept

OTHERS = "others"  # the sub-class of a class's leftovers: trained on, but no prompt asks for it
FLAT = "concepts"  # the category where there is none: of `20_name` folders, or images alone


@dataclass(frozen=True)
class Place:
    """A folder of images of one concept."""

    concept: Concept
    path: Path
    repeats: int | None


def places(folders: Folders, *, captions: bool) -> Iterator[Place]:
    """The folders with the images of each concept, in natural order; what lies elsewhere, and with
    `captions` a caption without its image, is a problem."""
    root, problems = folders.root, folders.problems
    if folders.images(root) and not folders.folders(root):
        if captions:
            _lonely_captions(folders, root)
        yield _place(Concept(FLAT, _kohya(root.resolve().name)[1]), root)
        return
    for category in folders.folders(root):
        images, deeper = folders.images(category), folders.folders(category)
        if _kohya(category.name)[0] and images and not deeper:
            class_places = iter([_place(Concept(FLAT, _kohya(category.name)[1]), category)])
        else:
            _no_images(folders, category, "an image must lie in a class's folder")
            if not deeper:
                problems.append(
                    f"category '{category.name}' has no class; a class is a folder in it"
                )
            class_places = _classes(folders, disk.composed(category.name), deeper)
        for place in class_places:
            if place.repeats and place.repeats > concept_words.MOST["repeats"]:
                problems.append(
                    f"{folders.name(place.path)}: {place.repeats} repeats; "
                    f"{concept_words.MOST['repeats']} are allowed "
                    "(a number and '_' before a name say how often it repeats; rename the folder)"
                )
            elif not folders.images(place.path):
                problems.append(f"'{place.concept}' has no images ({', '.join(SUFFIXES)})")
            else:
                if captions:
                    _lonely_captions(folders, place.path)
                yield place
    _no_images(folders, root, "an image must lie in category/class")


def _classes(folders: Folders, category: str, classes: list[Path]) -> Iterator[Place]:
    for path in classes:
        subclasses = folders.folders(path)
        if not subclasses:
            yield _place(Concept(category, _kohya(path.name)[1]), path)
            continue
        why = f"an image must lie in a sub-class's folder, as the class has some (or '{OTHERS}')"
        _no_images(folders, path, why)
        for subclass in subclasses:
            concept = Concept(category, disk.composed(path.name), _kohya(subclass.name)[1])
            if deeper := folders.folders(subclass):
                folders.problems.append(f"'{concept}/{deeper[0].name}' is a folder in a sub-class")
            yield _place(concept, subclass)


def _place(concept: Concept, path: Path) -> Place:
    return Place(concept, path, _kohya(path.name)[0])


def _kohya(name: str) -> tuple[int | None, str]:
    """Repeats and name of a folder `20_name`; None and the name of any other."""
    match = re.fullmatch(r"([1-9][0-9]*)_(.+)", disk.composed(name), re.DOTALL)
    return (int(match[1]), match[2]) if match else (None, disk.composed(name))


def _no_images(folders: Folders, place: Path, why: str) -> None:
    folders.problems += [f"{folders.name(image)}: {why}" for image in folders.images(place)]


def _lonely_captions(folders: Folders, place: Path) -> None:
    stems = {disk.composed(image.stem) for image in folders.images(place)}
    folders.problems += [
        f"{folders.name(text)} is a caption without an image beside it"
        for text in folders.files(place)
        if text.suffix.lower() == TEXT and disk.composed(text.stem) not in stems
    ]
