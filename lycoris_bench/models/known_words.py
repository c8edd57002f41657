"""How common a word is to a base model, by the order of its tokenizer's vocabulary."""

from pathlib import Path

from lycoris_bench.files import disk
from lycoris_bench.models.clip_tokenizer import vocabulary
from lycoris_bench.models.hub import locate

END = "</w>"  # of a token that ends a word
RARE = 0.9  # of the vocabulary stands before a word that is rare enough to be taught


def is_known(model: str | Path, word: str) -> bool:
    """Whether a word stands among the first RARE of a CLIP vocabulary, which is in the order of
    frequency: "dog" is the 1,929th of 49,408, "sks" the 48,136th. A word of several tokens is not
    known, nor any word where the model has no vocabulary of that form."""
    place = locate(model)
    file = place / "tokenizer" / "vocab.json"
    if place.is_file():
        ids = vocabulary()[0]
    else:
        ids = disk.read_json(file) if file.is_file() else {}
    found = ids.get(f"{word.lower()}{END}") if isinstance(ids, dict) else None
    return isinstance(found, int) and found < RARE * len(ids)
