"""Reads the captions of images from text files of the same stem next to each image, or from a
`metadata.jsonl`, as datasets of the hub have it, which takes precedence."""

import json
import shlex
from pathlib import Path

from lycoris_bench.data.folders import Folders
from lycoris_bench.files import disk
from lycoris_bench.study.wording import LONGEST, too_long

TEXT = ".txt"  # the extension of the main captions; other captions have one of their own
EXTENSIONS = {"adjusted": TEXT, "all": ".all-tags", "none": ".no-tags"}
"""Strategy of `lycoris-bench caption` -> the extension of what it writes."""
METADATA = "metadata.jsonl"
LARGEST = 100 * LONGEST  # bytes of a caption's file, white space among them
SHOWN = 3  # of many missing captions


class CaptionFiles:
    """The captions of one extension in a dataset: `0001.txt` for `0001.png` with `.txt`.

    In `metadata.jsonl` they are the key `text` for `.txt`, else the extension without its dot;
    its `file_name` is relative to its own folder, which is the image's or one above it; the
    nearest goes first."""

    def __init__(self, folders: Folders, extension: str, words: Path | None = None) -> None:
        self.folders, self.extension, self.words = folders, extension, words
        self.problems = folders.problems
        self.key = "text" if extension == TEXT else extension.removeprefix(".")
        self.missing: list[str] = []
        self._listed: dict[Path, dict[str, str]] = {}
        self._nearest: dict[Path, list[dict[str, str]]] = {}
        self._spelled: dict[Path, dict[str, Path]] = {}

    def of(self, image: Path) -> str | None:
        """An image's caption on one line; None where it is missing or faulty, which is noted in
        `missing` or `problems`."""
        listed = self.listed(image)
        text = self._sidecar(image) if listed is None else " ".join(listed.split())
        if text == "" and listed is not None:
            self.problems.append(f"{METADATA} has no caption for {self.folders.name(image)}")
        if text and (problem := too_long(text)):
            self.problems.append(f"the caption of {self.folders.name(image)} {problem}")
            return None
        return text or None

    def listed(self, image: Path) -> str | None:
        """The caption of an image in the nearest `metadata.jsonl`, or None. The entry is then taken
        out, so that `report` finds the entries that no image used."""
        lists = [captions for captions in self._lists(image.parent) if captions]
        texts = [captions.pop(disk.composed(str(image)), None) for captions in lists]
        return next((text for text in texts if text is not None), None)

    def report(self, images: int, unused: bool) -> None:
        """Adds one problem for all missing captions, of so many images, that says what to type.
        With `unused`, adds one for each entry of a list that no image has used."""
        if self.missing:
            some = ", ".join(self.missing[:SHOWN])
            more = len(self.missing) - SHOWN
            self.problems.append(
                f"{len(self.missing)} of {images} captions are missing: {some}"
                + (f" and {more} more" if more > 0 else "")
                + f"; to have them written, type: {self._command()}"
            )
        listed = dict.fromkeys(name for names in self._listed.values() for name in names)
        for name in listed if unused else ():
            name = name.removeprefix(f"{disk.composed(str(self.folders.root))}/")
            self.problems.append(f"{METADATA} names {name}, which is no image of the dataset")

    def _command(self) -> str:
        root = self.folders.root
        words = ["lycoris-bench", "caption", str(root)]
        if self.words and not (root / "concepts.toml").exists():
            words += ["--words", str(self.words)]
        strategy = next((s for s, e in EXTENSIONS.items() if e == self.extension), "none")
        if strategy != "adjusted":
            words += ["--strategy", strategy]
        if EXTENSIONS[strategy] != self.extension:
            words += ["--extension", self.extension]
        return shlex.join(words)

    def _lists(self, folder: Path) -> list[dict[str, str]]:
        """The lists of a folder and of those above it in the dataset, the nearest first."""
        if folder not in self._nearest:
            root = self.folders.root
            above = [p for p in (folder, *folder.parents) if p == root or root in p.parents]
            self._nearest[folder] = [self._metadata(place) for place in above]
        return self._nearest[folder]

    def _metadata(self, place: Path) -> dict[str, str]:
        """Image -> caption of the `metadata.jsonl` in a folder."""
        if place in self._listed:
            return self._listed[place]
        captions = self._listed[place] = {}
        path, lines = place / METADATA, []
        try:
            lines = disk.read_lines(path) if path in self.folders.files(place) else []
        except disk.FileError as error:
            self._report_error(error)
        for number, line in enumerate(lines, 1):
            if line and (problem := self._take(line, place, captions)):
                self.problems.append(f"{self.folders.name(path)}, line {number}: {problem}")
        return captions

    def _take(self, line: str, place: Path, captions: dict[str, str]) -> str | None:
        """Adds the caption of a line to `captions`; returns the problem with it, or None."""
        try:
            entry = json.loads(line)
            image, text = disk.composed(str(place / entry["file_name"])), entry.get(self.key)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return f'needed is {{"file_name": "1.png", "{self.key}": "..."}}'
        if text is None:
            return None
        if not isinstance(text, str) or not _plain(text):
            return f"'{self.key}' is not text"
        if image in captions:
            return f"{entry['file_name']} is named twice"
        captions[image] = text
        return None

    def _sidecar(self, image: Path) -> str | None:
        path = self.file(image)
        if path is None:
            self.missing.append(self.folders.name(image.with_suffix(self.extension)))
            return None
        try:
            if (size := path.stat().st_size) > LARGEST:  # not read: it may be larger than memory
                self.problems.append(
                    f"caption {self.folders.name(path)} is a file of {size:,} bytes; "
                    f"at most {LONGEST:,} characters are allowed"
                )
                return None
            text = " ".join(disk.read_text(path).split())
        except disk.FileError as error:
            self._report_error(error)
            return None
        if not text:
            self.problems.append(f"caption {self.folders.name(path)} is empty")
        return text or None

    def file(self, image: Path) -> Path | None:
        """The caption's file, its extension in any case and its name in either Unicode form."""
        exact = image.with_suffix(self.extension)
        if exact.exists() or disk.kind_of(exact):
            return exact
        if image.parent not in self._spelled:
            files = self.folders.files(image.parent)
            self._spelled[image.parent] = {_spelled(p.stem, p.suffix): p for p in files}
        return self._spelled[image.parent].get(_spelled(image.stem, self.extension))

    def _report_error(self, error: disk.FileError) -> None:
        self.problems.append("caption " + str(error).replace(f"{self.folders.root}/", "", 1))


def _spelled(stem: str, suffix: str) -> str:
    return disk.composed(stem) + suffix.casefold()


def _plain(text: str) -> bool:
    """Without NUL and lone halves of a character, which no tokenizer and no table takes."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
