"""Patterns match as Python's own do, and none of them takes long."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.presets import patterns
from lycoris_bench.adapters.presets.layers import Preset
from lycoris_bench.adapters.presets.patterns import Pattern, PatternError, ends_with, matches

NAMES = ["", "a", "ab", "aab", "b.a", "down_blocks.2.attn2.to_k", "down_blocks.10.attn1.to_q",
         "mid_block.attentions.0.ff.net.0.proj", "aaaaaaaa", "a-b", "x{2}",
         "down.linear"]  # fmt: skip
REAL = [
    r"down_blocks\.2.*attn2\.to_[kv]$", r".*attn[12].*", r"(to_q|to_k|to_v)", r"^mid_block",
    r"attentions\.\d+\.ff", r"(?:down|up)_blocks\.\d{1,2}\..*to_(q|k)", r"^(?!.*mid).*attn", r"",
    r"(?=.*attn2).*to_k$", r"[^.]+\.[0-9]+", r"a{2,3}b?", r"a{0}b", r"a{2}", r"a{,2}b", r"a|b|",
    r"(a|ab)(c|bcd)?", r"(a*)*b", r"((a+)+)+", r".*?b", r"x\{2\}", r"a\-b", r"[]a]b", r"[^]b]+",
    r"(?:(?=ab)a|b)*", r"(a(?!a)|a)*b", r"\w+\.\w", r"\S*\D", r"$", r"^$", r"down\.linear",
    r"linear", r"to_q", r"(down.)?linear",
]  # fmt: skip


@pytest.mark.parametrize("text", REAL)
def test_as_pythons_own(text: str) -> None:
    for name in NAMES:
        assert matches(text, name) == bool(re.match(text, name))
        assert matches(text, name, whole=True) == bool(re.fullmatch(text, name))
        assert ends_with(text, name) == bool(re.match(rf"(.*\.)?({text})$", name))  # as PEFT does


def made(rng: random.Random, depth: int = 0) -> str:
    """A random pattern over a, b and dots."""
    kind = rng.randrange(7 if depth < 3 else 3)
    if kind < 3:
        return rng.choice(["a", "b", r"\.", ".", "[ab]", "[^a]", r"\w", "ab"])
    if kind == 3:
        return f"({made(rng, depth + 1)}|{made(rng, depth + 1)})"
    if kind == 4:
        return f"(?:{made(rng, depth + 1)})" + rng.choice(["*", "+", "?", "*?", "{2}", "{1,3}"])
    return made(rng, depth + 1) + made(rng, depth + 1)


def test_as_pythons_own_by_chance() -> None:
    rng = random.Random(0)
    for _ in range(400):
        text = made(rng)
        ours = Pattern(text)
        for _ in range(8):
            name = "".join(rng.choice("ab.") for _ in range(rng.randrange(8)))
            assert ours.match(name) == bool(re.match(text, name)), (text, name)
            assert ours.match(name, whole=True) == bool(re.fullmatch(text, name)), (text, name)


HANGING = [
    "([a-z0-9_.]+)+X", "(.*.*)*(.*.*)*(.*.*)*$x", "(a|a)*$b", "(a|aa)+X", ".*.*.*.*.*.*.*.*.*.*X",
    "(a?){30}a{30}X", "(a*)*(a*)*(a*)*X", "((a{1,9}){1,9})X", r"(b|(?=(a*)*X)a)*X",
    "(?:" * 10 + "a" + ")*" * 10 + "X",
    r"(\w+\.?)+X", r"(?=(a+)+X)", "([a-z]*[a-z_]*)*X", "(a|b|ab)*X",
]  # fmt: skip


@pytest.mark.parametrize("text", HANGING)
def test_no_pattern_takes_more_than_its_length_times_the_names(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is counted: Python's own would need more than 2^30 here."""
    steps = 0
    passes = Pattern._passes

    def counted(*args: Any) -> bool:
        nonlocal steps
        steps += 1
        return passes(*args)

    monkeypatch.setattr(Pattern, "_passes", counted)
    for name in ("a" * 40, "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"):
        assert not matches(text, name)
        assert not ends_with(text, name)
    assert steps < 4 * 110 * patterns.MOST_STATES


@pytest.mark.parametrize(("text", "said"), [
    (r"(a)\1", r"'\\1' is not read here"), (r"\bto_q", r"'\\bto_q' is not read"),
    ("(?<=a)b", "is not read here"), ("(?i)a", "is not read"), ("(?P<x>a)", "is not read"),
    ("a*+", "is not read here"), ("(?>a)", "is not read"), ("(", "is no regular expression"),
    ("[b-a]", "is no regular expression"), ("*", "is no regular expression"), ("a)", "no regular"),
    ("a{1,400}{1,400}", "no regular expression"), ("(a{400}){400}", "more than 500 steps"),
    ("a{501}", "no number of times up to 500"), ("(" * 21 + "a" + ")" * 21, "more than 20 groups"),
    ("(" * 400 + ")" * 400, "no regular expression|more than 20 groups"),
    ("a*" * 2000, "has 4,000 letters"), ("(?=(?!a)b)", "inside of what"), ("(?=a)*", "is repeated"),
    ("((((((){400}){400}){400}){400}){400}){400}", "more than 500 steps"),
    ("(((((a{0}){400}){400}){400}){400}){400}", "more than 500 steps"),
    ("(?=a)" * 4, "looks ahead more than 3 times"), ("((?!a)b){4}", "more than 3 times"),
    ("a{99999999999999999999}", "no regular expression|no number of times"),
])  # fmt: skip
def test_what_is_beyond_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(PatternError, match=said) as caught:
        matches(text, "a")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(ValueError, match=said):
        Preset.from_table({"unet_target_name": [text]})


def adapter(folder: Path, place: str, **options: Any) -> Path:
    """A LoRA of rank 2 with a configuration, as a folder or as a file with metadata."""
    tensors = {"x.down.linear.lora_A.weight": torch.ones(2, 3),
               "x.down.linear.lora_B.weight": torch.ones(4, 2)}  # fmt: skip
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, **options}
    if place == "file":
        about = {"lora_adapter_metadata": json.dumps({f"unet.{k}": v for k, v in config.items()})}
        save_file({f"unet.{k}": v for k, v in tensors.items()}, folder / "a", about)
        return folder / "a"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("place", ["file", "folder"])
def test_in_configurations(place: str, tmp_path: Path) -> None:
    def alpha(**options: Any) -> float:
        tensors, _ = adapter_file.read(adapter(tmp_path, place, **options))
        return next(float(v) for key, v in tensors.items() if key.endswith("alpha"))

    for text in HANGING:
        assert alpha(alpha_pattern={text: 3}, rank_pattern={text: 7}, target_modules=text) == 2
    assert alpha(alpha_pattern={"(a+)+X": 3, "(down|up)\\.lin.*": 5, "linear": 7}) == 5
    for table in ("alpha_pattern", "rank_pattern"):
        many = {"(a|b)*" * 30 + f"x{k}": 3 for k in range(50)}
        with pytest.raises(AdapterFileError, match=f"{table}: .*steps long together; up to 2,000"):
            alpha(**{table: many})
        with pytest.raises(AdapterFileError, match=f"{table}: .*is not read here"):
            alpha(**{table: {r"(a)\1": 3}})
    assert alpha(alpha_pattern={f"x.layer_{k}": 3 for k in range(5000)}) == 2
    long = {"x." + "a" * 1500 + ".lora_A.weight": torch.ones(2, 3),
            "x." + "a" * 1500 + ".lora_B.weight": torch.ones(4, 2)}  # fmt: skip
    about = {"lora_adapter_metadata": '{"r": 2, "alpha_pattern": {"(a+)+X": 3}}'}
    save_file(long, tmp_path / "b", about)
    with pytest.raises(AdapterFileError, match="is a name of 1,502 letters; up to 1,000 are match"):
        adapter_file.read(tmp_path / "b")


@pytest.mark.parametrize("text", HANGING)
def test_in_a_studys_own_presets(text: str) -> None:
    preset = Preset.from_table({"unet_target_name": ["mid"], "exclude_name": [text],
                                "name_algo_map": {text: {"dim": 2}}})  # fmt: skip
    assert preset.takes("mid_block.attentions.0.transformer_blocks.0.attn1.to_q", False, ())
