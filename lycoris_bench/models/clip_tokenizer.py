"""CLIP's tokenizer from the vocabulary that open_clip ships, since single files hold none and
nothing is downloaded."""

import functools
import gzip
import json
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

START, END = "<|startoftext|>", "<|endoftext|>"
SIZE = 49408
LENGTH = 77


@functools.cache
def vocabulary() -> tuple[dict[str, int], list[str]]:
    """(symbol -> id, merges) of CLIP. The symbols are 256 bytes, the same bytes at a word's end,
    one symbol for each merge, and the marks of start and end."""
    packed = files("open_clip").joinpath("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    # The file is of a larger vocabulary; its first line is a version.
    merges = gzip.decompress(packed).decode().split("\n")[1 : SIZE - 2 * 256 - 2 + 1]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(byte) for byte in printable]
    symbols += [chr(256 + k) for k in range(256 - len(printable))]  # stand-ins for the others
    names = [*symbols, *(f"{s}</w>" for s in symbols), *(m.replace(" ", "") for m in merges)]
    return {name: k for k, name in enumerate([*names, START, END])}, merges


def write(folder: Path, pad: str = END) -> None:
    """Writes the files of a tokenizer's folder."""
    ids, merges = vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = "\n".join(["#version: 0.2", *merges]) + "\n"
    (folder / "merges.txt").write_text(lines, encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "bos_token": START,
        "eos_token": END, "unk_token": END, "pad_token": pad,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


@functools.cache  # of 49,408 tokens, which take a third of a second to read
def clip_tokenizer(pad: str = END) -> Any:
    """A `CLIPTokenizer` of 77 tokens a chunk."""
    from transformers import CLIPTokenizer

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), pad)
        return CLIPTokenizer.from_pretrained(folder)
