"""Writes a caption beside each image of a dataset (paper D.1): what the concept is called, then
what a tagger sees, less what belongs to the concept."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lycoris_bench.data.caption_files import EXTENSIONS
from lycoris_bench.data.captioning import tags, targets
from lycoris_bench.data.captioning.tagger import Tagger
from lycoris_bench.data.concept_folders import FLAT
from lycoris_bench.data.dataset import scan
from lycoris_bench.data.folders import images_below
from lycoris_bench.data.images import SUFFIXES, DataError, read_image
from lycoris_bench.data.seen import whole
from lycoris_bench.files import disk
from lycoris_bench.messages import suggestions
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study import concept_words
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import too_long

BATCH = 8


@dataclass(frozen=True)
class How:
    """The three strategies of appendix H.3: `none` is the descriptor alone, `all` adds every tag,
    `adjusted` leaves out those that `tags.toml` lists for a concept.

    `template` is what `none` writes, {} being the descriptor; `descriptor` is that of all images
    of a folder that has no concepts; `extension` is that of the strategy if it is empty."""

    strategy: str = "adjusted"
    threshold: float = 0.35
    tagger: str = tags.TAGGER
    extension: str = ""
    template: str = "{}"
    descriptor: str = ""
    words: Path | None = None  # a prompt tree with the tables, if the dataset has none
    removed: Path | None = None  # in place of tags.toml
    force: bool = False


def write(folder: Path, how: How, device: str = "cpu") -> dict[str, Any]:
    """Writes the captions that are not there; with `force` all of them. Each is a whole file, and
    a run that was killed goes on where it stopped.

    Raises an error that names everything in the way before anything is written."""
    if how.strategy not in EXTENSIONS:
        raise BenchError(suggestions.unknown("strategy", how.strategy, EXTENSIONS))
    if not 0 < how.threshold < 1:
        raise BenchError(f"--threshold is {how.threshold:g}; between 0 and 1 is allowed")
    if not how.template.strip():
        raise BenchError("--template is empty; '{}' stands for what an image shows")
    extension = targets.extension(how.extension or EXTENSIONS[how.strategy])
    pictures = _pictures(folder, how)
    template = how.template if how.strategy == "none" else "{}"
    for picture in pictures:
        if problem := too_long(template.replace("{}", picture.descriptor)):
            raise BenchError(f"the caption of {picture.path} {problem}")
    places = targets.places(
        folder, [p.path for p in pictures], extension,
        tagged=how.strategy != "none", force=how.force,
    )  # fmt: skip
    table = {}
    if how.strategy == "adjusted":
        table = tags.removed(how.removed or _table(folder, how.words))
    asked = [p for p in pictures if p.path in places]
    lacking = [p for p in asked if how.force or not places[p.path].exists()]
    tagger = Tagger.load(how.tagger, device) if lacking and how.strategy != "none" else None
    if tagger:
        whole(folder, [p.path for p in lacking])
    for picture, seen in _seen(lacking, tagger, how.threshold):
        if tagger is None:
            text = how.template.replace("{}", picture.descriptor)
        else:
            left_out = tags.left_out(picture.concept, table)
            text = tags.caption(picture.descriptor, seen, left_out)
        disk.write(places[picture.path], text + "\n")
    # Two images of one stem share a caption: files are counted, and what a list has.
    written = len({places[picture.path] for picture in lacking})
    kept = len(pictures) - len(asked) + len({places[picture.path] for picture in asked}) - written
    text = f"{written} captions written as *{extension} in {folder}"
    if kept:
        text += f"; {kept} were there and are kept (--force writes them anew)"
    return {"written": written, "kept": kept, "extension": extension, "text": text}


def _table(folder: Path, words: Path | None) -> Path:
    """`tags.toml` of the dataset, or else of the prompt tree."""
    own = folder / tags.REMOVED
    return own if words is None or own.exists() else words / tags.REMOVED


@dataclass(frozen=True)
class _Picture:
    path: Path
    concept: Concept
    descriptor: str


def _pictures(folder: Path, how: How) -> list[_Picture]:
    """The images of a dataset with what their concepts are called; or, with a descriptor that is
    given for all, the images anywhere in a folder."""
    if how.descriptor.strip():
        concept = Concept(FLAT, folder.resolve().name)
        paths = images_below(folder)
        if not paths:
            raise DataError(f"folder {folder}", [f"no images are there ({', '.join(SUFFIXES)})"])
        return [_Picture(path, concept, how.descriptor) for path in paths]
    data = scan(folder, captions=False)
    words = concept_words.read_words(folder, data.concepts, how.words)
    return [_Picture(e.path, e.concept, words[e.concept].descriptor) for e in data.examples]


def _seen(
    pictures: list[_Picture], tagger: Tagger | None, threshold: float
) -> Iterator[tuple[_Picture, list[str]]]:
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        if tagger is None:
            yield from ((picture, []) for picture in batch)
        else:
            images = [read_image(picture.path) for picture in batch]
            yield from zip(batch, tagger.tags(images, threshold), strict=True)
