"""Words that a base model knows, by its vocabulary."""

import json
from pathlib import Path

import pytest

from lycoris_bench.models import known_words
from lycoris_bench.models.clip_tokenizer import vocabulary


def test_the_papers_triggers_are_rare_and_plain_words_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer/vocab.json").write_text(json.dumps(vocabulary()[0]))
    monkeypatch.setattr(known_words, "locate", Path)  # the other parts are not needed
    rare = ["sks", "olis", "blob", "hmv", "asar", "zwx"]
    assert [word for word in rare if known_words.is_known(folder, word)] == []
    assert all(known_words.is_known(folder, word) for word in ("dog", "Toy", "corgi"))
    (folder / "tokenizer/vocab.json").unlink()
    assert not known_words.is_known(folder, "dog")
