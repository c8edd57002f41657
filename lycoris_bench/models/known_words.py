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
    ids = _vocabulary(locate(model))
    found = ids.get(f"{word.lower()}{END}")
    return isinstance(found, int) and found < RARE * len(ids)


def _vocabulary(place: Path) -> dict[str, int]:
    """Token -> its number; empty where the model has none of that form."""
    if place.is_file():
        return vocabulary()[0]
    file = place / "tokenizer" / "vocab.json"
    ids = disk.read_json(file) if file.is_file() else {}
    return ids if isinstance(ids, dict) else {}
