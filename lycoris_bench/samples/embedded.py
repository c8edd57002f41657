"""What programs write into an image: its prompt, seed and settings, in a PNG's text chunks or in
EXIF."""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from lycoris_bench.files import disk
from lycoris_bench.run.image_file import CHUNK
from lycoris_bench.samples import comfyui_graph
from lycoris_bench.study import prompt_options

EXIF, USER_COMMENT, MODEL = 0x8769, 0x9286, 0x0110  # tags of EXIF
LARGEST = 100_000  # characters of a text that is read
LONGEST_LINE = 8_000  # characters of its settings
A1111 = {
    "seed": "seed", "steps": "steps", "sampler": "sampler", "cfg scale": "guidance",
    "model": "model", "model hash": "model hash", "schedule type": "schedule",
}  # fmt: skip
"""Settings in the text `parameters`, in lower case, and what they are called here."""
_SETTING = re.compile(r'\s*([\w ./-]+):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
_ADAPTER = re.compile(r"\s*<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_OF_OPTION = {"d": "seed", "seed": "seed", "l": "guidance", "cfg": "guidance", "s": "steps",
              "steps": "steps", "ss": "sampler"}  # fmt: skip
Said = dict[str, str]
"""`prompt`, `seed` and settings: steps, guidance, sampler, model, ..., as far as they are known."""


def read(path: Path) -> Said:
    """What is said in an image's file; empty where nothing is, or nothing that can be read."""
    if disk.kind_of(path):
        return {}
    with contextlib.suppress(Exception):  # a broken file may raise almost anything
        with path.open("rb") as file, Image.open(file) as image:
            texts = {str(k): v for k, v in image.info.items() if isinstance(v, str)}
            exif = image.getexif()
            comment = _comment(exif.get_ifd(EXIF).get(USER_COMMENT))
            graph = str(exif.get(MODEL, ""))
        if graph.startswith("prompt:"):  # as ComfyUI writes WebP
            texts.setdefault("prompt", graph.removeprefix("prompt:"))
        return _first(texts, comment)
    return {}


def _first(texts: Mapping[str, str], comment: str) -> Said:
    if CHUNK in texts:
        return _own(texts[CHUNK])
    if said := parameters(texts.get("parameters") or comment):
        return said
    text = texts.get("prompt", "")
    return comfyui_graph.read(json.loads(text)) if text.startswith("{") else {}


def _own(text: str) -> Said:
    known = json.loads(text)
    names = ("prompt", "seed", "steps", "guidance", "sampler")
    return {name: str(known[name]) for name in names if known.get(name) is not None}


def parameters(text: str) -> Said:
    """The text that A1111, Forge and others write: the prompt, `Negative prompt: ...`, and a line
    of settings that begins with `Steps: `. Tags that load adapters are no part of the prompt.

    >>> parameters("a cat <lora:b:1>\\nNegative prompt: dog\\nSteps: 20, Seed: 7, Model: a")
    {'prompt': 'a cat', 'seed': '7', 'steps': '20', 'model': 'a'}
    """
    lines = text[:LARGEST].strip().splitlines()
    last = next((k for k, line in enumerate(lines) if line.startswith("Steps: ")), len(lines))
    if last == len(lines):
        return {}
    end = next((k for k, line in enumerate(lines) if line.startswith("Negative prompt:")), last)
    settings = {
        name.strip().lower(): value.strip().strip('"')
        for name, value in _SETTING.findall(" ".join(lines[last:])[:LONGEST_LINE])
    }
    prompt = _ADAPTER.sub("", " ".join(" ".join(lines[: min(end, last)]).split())).strip()
    known = {ours: settings[name] for name, ours in A1111.items() if settings.get(name)}
    return {"prompt": prompt, **known}


def of_line(text: str) -> Said:
    """A prompt as trainers write it, with options at its end: `a cat --n dog --d 42 --l 7.5`.

    >>> of_line("a cat -- or two --w 512 --seed 42 --cfg 7.5")
    {'prompt': 'a cat -- or two', 'seed': '42', 'guidance': '7.5'}
    """
    prompt, options = prompt_options.split(text)
    return {"prompt": prompt, **{_OF_OPTION[n]: v for n, v in options if n in _OF_OPTION}}


def _comment(value: Any) -> str:
    """EXIF's UserComment: eight bytes say how the others are encoded."""
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    kind, text = value[:8], value[8:]
    if kind.startswith(b"UNICODE"):  # big-endian as most write it, or not
        return text.decode("utf-16-be" if text[:1] == b"\0" else "utf-16-le", errors="replace")
    return (text if kind[:5] == b"ASCII" or not kind.strip(b"\0") else value).decode(
        errors="replace"
    )
