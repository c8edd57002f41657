"""Prompts beside the images: a text file of the same stem, a `metadata.jsonl`; and lists of
prompts, as trainers are given them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lycoris_bench.data.caption_files import METADATA, TEXT
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.samples.embedded import Said, of_line
from lycoris_bench.samples.naming import Named
from lycoris_bench.study.wording import LONGEST, too_long

LARGEST = 100 * LONGEST  # bytes of a prompt's file


@dataclass
class PromptFiles:
    """The prompts that lie in a folder of images; `problems` gets a sentence for each that is
    faulty."""

    root: Path
    problems: list[str]
    _listed: dict[Path, dict[str, Said]] = field(default_factory=dict)

    def of(self, image: Path) -> Said:
        """What a `metadata.jsonl` of the image's folder, or of one above it, says; else the text
        file of its stem. Empty where there is neither."""
        for folder in (image.parent, *image.parents):
            if folder != self.root and self.root not in folder.parents:
                break
            name = disk.composed(image.relative_to(folder).as_posix())
            if name in (listed := self._metadata(folder)):
                return listed[name]
        for text in (image.with_suffix(end) for end in (TEXT, TEXT.upper())):
            if text.is_file():
                return self._text(text)
        return {}

    def _text(self, path: Path) -> Said:
        try:
            if path.stat().st_size > LARGEST:
                raise BenchError(f"{path} is longer than the {LONGEST:,} characters of a prompt")
            said = of_line(disk.read_text(path))
        except (BenchError, OSError) as error:
            self.problems.append(f"{error}; its image has no prompt")
            return {}
        return said if self._fits(path.name, said) else {}

    def _fits(self, name: str, said: Said) -> bool:
        problem = too_long(said.get("prompt", ""))
        if problem:
            self.problems.append(f"the prompt in {name} {problem}; its image has no prompt")
        return bool(said.get("prompt")) and not problem

    def _metadata(self, folder: Path) -> dict[str, Said]:
        if folder in self._listed:
            return self._listed[folder]
        found: dict[str, Said] = {}
        path = folder / METADATA
        try:
            lines = disk.read_lines(path) if path.is_file() else []
        except disk.FileError as error:
            self.problems.append(str(error))
            lines = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            entry = _entry(line)
            if entry is None:
                self.problems.append(
                    f'{path}, line {number}: {{"file_name": "1.png", "prompt": "..."}} is needed '
                    '("text" is "prompt"); the line is left out'
                )
            elif self._fits(f"{METADATA}, line {number},", entry[1]):
                found.setdefault(*entry)
        self._listed[folder] = found
        return found


def _entry(line: str) -> tuple[str, Said] | None:
    try:
        entry = json.loads(line)
        name, prompt = entry["file_name"], entry.get("prompt", entry.get("text"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(name, str) or not isinstance(prompt, str):
        return None
    said = {k: str(v) for k, v in entry.items() if k not in ("file_name", "text", "prompt")}
    return disk.composed(name), {**said, "prompt": " ".join(prompt.split())}


@dataclass(frozen=True)
class PromptList:
    """Prompts by their number, from 0, or by the name that a tool gives them."""

    by_number: tuple[Said, ...] = ()
    by_name: Mapping[str, Said] = field(default_factory=dict)

    def of(self, name: Named) -> Said:
        """The prompt of an image whose name has a number or a short name."""
        if (short := name.fields.get("shortname")) in self.by_name:
            return self.by_name[str(short)]
        number = name.number("index")
        if number is None or "shortname" in name.fields or number >= len(self.by_number):
            return {}
        return self.by_number[number]


def prompt_list(path: Path) -> PromptList:
    """A list as a trainer is given it: a text file, a prompt a line, as kohya's `--sample_prompts`;
    JSON, as OneTrainer's samples or SimpleTuner's library; kohya's TOML.

    BenchError: it is missing, or none of these."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        given = disk.read_json(path)
    elif suffix == ".toml":
        table = disk.read_toml(path).get("prompt", {})
        shared = table if isinstance(table, dict) else {}
        listed = shared.pop("subset", [])
        given = [{**shared, **one} for one in listed if isinstance(one, dict)]
    else:
        given = [line for line in disk.read_lines(path) if line and not line.startswith("#")]
    if isinstance(given, dict):
        named = {str(name): _said(one) for name, one in given.items()}
        found = PromptList(by_name={name: said for name, said in named.items() if said})
    else:
        found = PromptList(tuple(map(_said, given if isinstance(given, list) else ())))
    if not any(found.by_number) and not found.by_name:
        raise BenchError(
            f"{path} holds no prompt; a text file with one a line is needed, or a JSON list of "
            '{"prompt": "..."}, or a JSON table of names and prompts'
        )
    return found


def _said(one: Any) -> Said:
    if isinstance(one, str):
        return of_line(one)
    if isinstance(one, Mapping) and isinstance(one.get("prompt"), str):
        said = of_line(one["prompt"])
        random = bool(one.get("random_seed"))
        if isinstance(one.get("seed"), int) and one["seed"] >= 0 and not random:
            said["seed"] = str(one["seed"])
        return said
    return {}
