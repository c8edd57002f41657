"""Builds the base model's tokenizer: one token a word, bytes for everything else."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AddedToken, CLIPTokenizer

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.miniature.networks import END_TOKEN, START_TOKEN, TEXT_LENGTH, TOKENS
from lycoris_bench.miniature.world.words import TRIGGERS, world_words

START, END = "<|startoftext|>", "<|endoftext|>"


def _byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes of GPT-2's and CLIP's byte-level tokenizers."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable} | {b: chr(256 + k) for k, b in enumerate(others)}
    return [table[b] for b in range(256)]


def tokenizer_file(name: str) -> str:
    """The text of vocab.json or merges.txt: bytes only, for words are added tokens."""
    if name == "merges.txt":
        return "#version: 0.2\n"
    symbols = _byte_symbols()
    names = [*symbols, *(s + "</w>" for s in symbols), START, END]
    assert (names.index(START), names.index(END)) == (START_TOKEN, END_TOKEN)
    return json.dumps({name: k for k, name in enumerate(names)}, ensure_ascii=False)


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write the tokenizer to `folder` and return it as loaded from there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in ("vocab.json", "merges.txt")]
    for file in files:
        file.write_text(tokenizer_file(file.name), encoding="utf-8")
    tokenizer = CLIPTokenizer(
        *map(str, files),
        model_max_length=TEXT_LENGTH,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
    )
    words = (*world_words(), *TRIGGERS)
    tokenizer.add_tokens([AddedToken(w, single_word=True, normalized=True) for w in words])
    if len(tokenizer) > TOKENS:
        raise BenchError(f"{len(tokenizer)} tokens, but the networks have room for {TOKENS}")
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)
