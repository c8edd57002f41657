"""Where the captions of images are written: in a text file of the same stem beside each image,
or in a `metadata.jsonl` as datasets of the hub have it, which goes first."""

import json
from pathlib import Path

TEXT = ".txt"  # the extension of the main captions; other captions have one of their own
METADATA = "metadata.jsonl"


class CaptionFiles:
    """The captions of one extension in a dataset: `0001.txt` for `0001.png` with `.txt`.

    In `metadata.jsonl` they are the key `text` for `.txt`, else the extension without its dot;
    its `file_name` is relative to its own folder, which is the image's or one above it."""

    def __init__(self, root: Path, extension: str, problems: list[str]) -> None:
        self.root, self.extension, self.problems = root, extension, problems
        self.key = "text" if extension == TEXT else extension.removeprefix(".")
        self.listed: dict[Path, str] = {}
        for path in sorted(root.rglob(METADATA)):
            self._read(path)

    def of(self, image: Path) -> str | None:
        """The caption on one line; None and a problem where there is none."""
        listed = self.listed.pop(image, None)
        if listed is None:
            return self._beside(image.with_suffix(self.extension))
        text = " ".join(listed.split())
        if not text:
            self.problems.append(f"{METADATA} has no caption for {self._name(image)}")
        return text or None

    def complain_of_the_rest(self) -> None:
        """Adds a problem for each listed image that nobody asked for: there is none."""
        self.problems += [
            f"{METADATA} names {self._name(image)}, which is no image of the dataset"
            for image in self.listed
        ]

    def _name(self, path: Path) -> str:
        return str(path).removeprefix(f"{self.root}/")

    def _read(self, path: Path) -> None:
        name = self._name(path)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (UnicodeDecodeError, OSError) as error:
            self.problems.append(f"{name} cannot be read as UTF-8 text ({error})")
            return
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                image, text = path.parent / entry["file_name"], entry.get(self.key)
            except (ValueError, KeyError, TypeError, AttributeError):
                needed = f'{{"file_name": "1.png", "{self.key}": "..."}}'
                self.problems.append(f"{name}, line {number}: needed is {needed}")
                continue
            if isinstance(text, str):
                self.listed[image] = text
            elif text is not None:
                self.problems.append(f"{name}, line {number}: '{self.key}' is not text")

    def _beside(self, path: Path) -> str | None:
        name = self._name(path)
        try:
            text = " ".join(path.read_text(encoding="utf-8-sig").split())
        except FileNotFoundError:
            self.problems.append(f"caption {name} is missing")
        except UnicodeDecodeError:
            self.problems.append(f"caption {name} is not UTF-8 text")
        except OSError as error:
            self.problems.append(f"caption {name} cannot be read ({error.strerror})")
        else:
            if text:
                return text
            self.problems.append(f"caption {name} is empty")
        return None
