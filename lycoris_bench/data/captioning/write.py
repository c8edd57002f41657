"""Writes a caption file next to each image of a dataset (paper D.1): the concept's descriptor, then
the tags that a tagger gives the image, without those that belong to the concept."""

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
from lycoris_bench.messages.numbers import plural
from lycoris_bench.study import concept_words
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import too_long

BATCH = 8


@dataclass(frozen=True)
class CaptionOptions:
    """What is written as captions. The three strategies are those of appendix H.3: `none` writes
    the descriptor alone, `all` adds every tag, `adjusted` leaves out the tags that `tags.toml`
    lists for a concept.

    `template` is the caption that `none` writes, with {} for the descriptor. `descriptor` names
    all images of a folder that has no concepts. An empty `extension` is the strategy's own."""

    strategy: str = "adjusted"
    threshold: float = 0.35
    tagger: str = tags.TAGGER
    extension: str = ""
    template: str = "{}"
    descriptor: str = ""
    words: Path | None = None  # a prompt tree with the tables, if the dataset has none
    removed: Path | None = None  # in place of tags.toml
    force: bool = False


def write(folder: Path, options: CaptionOptions, device: str = "cpu") -> dict[str, Any]:
    """Writes the captions that are missing; with `force` all of them. Each file is written whole,
    and a command that was killed goes on where it stopped.

    Raises a BenchError that names everything in the way before anything is written."""
    if options.strategy not in EXTENSIONS:
        raise BenchError(suggestions.unknown("strategy", options.strategy, EXTENSIONS))
    if not 0 < options.threshold < 1:
        raise BenchError(f"--threshold is {options.threshold:g}; between 0 and 1 is allowed")
    if not options.template.strip():
        raise BenchError("--template is empty; '{}' stands for what an image shows")
    extension = targets.extension(options.extension or EXTENSIONS[options.strategy])
    images = _named_images(folder, options)
    template = options.template if options.strategy == "none" else "{}"
    for image in images:
        if problem := too_long(template.replace("{}", image.descriptor)):
            raise BenchError(f"the caption of {image.path} {problem}")
    places = targets.places(
        folder, [p.path for p in images], extension,
        tagged=options.strategy != "none", force=options.force,
    )  # fmt: skip
    table = {}
    if options.strategy == "adjusted":
        table = tags.removed(options.removed or _table(folder, options.words))
    in_files = [p for p in images if p.path in places]
    lacking = [p for p in in_files if options.force or not places[p.path].exists()]
    tagger = Tagger.load(options.tagger, device) if lacking and options.strategy != "none" else None
    if tagger:
        whole(folder, [p.path for p in lacking])
    for image, found_tags in _tagged(lacking, tagger, options.threshold):
        if tagger is None:
            text = options.template.replace("{}", image.descriptor)
        else:
            left_out = tags.left_out(image.concept, table)
            text = tags.caption(image.descriptor, found_tags, left_out)
        disk.write(places[image.path], text + "\n")
    # Two images of one stem share a caption: files are counted, and what a list has.
    written = len({places[image.path] for image in lacking})
    kept = len(images) - len(in_files) + len({places[image.path] for image in in_files}) - written
    text = f"{plural(written, 'caption')} written as *{extension} in {folder}"
    if kept:
        text += f"; {kept} were there and are kept (--force writes them anew)"
    return {"written": written, "kept": kept, "extension": extension, "text": text}


def _table(folder: Path, words: Path | None) -> Path:
    """`tags.toml` of the dataset, or else of the prompt tree."""
    table = folder / tags.REMOVED
    return table if words is None or table.exists() else words / tags.REMOVED


@dataclass(frozen=True)
class _NamedImage:
    path: Path
    concept: Concept
    descriptor: str


def _named_images(folder: Path, options: CaptionOptions) -> list[_NamedImage]:
    """The images of a dataset with their concepts' descriptors; or, with one descriptor for all,
    every image below a folder."""
    if options.descriptor.strip():
        concept = Concept(FLAT, folder.resolve().name)
        paths = images_below(folder)
        if not paths:
            raise DataError(f"folder {folder}", [f"no images are there ({', '.join(SUFFIXES)})"])
        return [_NamedImage(path, concept, options.descriptor) for path in paths]
    data = scan(folder, captions=False)
    words = concept_words.read_words(folder, data.concepts, options.words)
    return [_NamedImage(e.path, e.concept, words[e.concept].descriptor) for e in data.examples]


def _tagged(
    images: list[_NamedImage], tagger: Tagger | None, threshold: float
) -> Iterator[tuple[_NamedImage, list[str]]]:
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        if tagger is None:
            yield from ((image, []) for image in batch)
        else:
            pixels = [read_image(image.path) for image in batch]
            yield from zip(batch, tagger.tags(pixels, threshold), strict=True)
