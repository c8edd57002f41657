"""Study files that were taken for something else than what they say: each value is refused by a
sentence, or means exactly what is written."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.study.load import StudyError, load, parse
from tests.study.test_study import GOOD


def changed(key: str, value: Any) -> dict[str, Any]:
    """The good study with one dotted key changed."""
    made = place = copy.deepcopy(GOOD)
    *parents, last = key.split(".")
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return made


def refused(key: str, value: Any) -> str:
    with pytest.raises(StudyError) as error:
        parse(changed(key, value))
    assert len(error.value.problems) == 1, error.value.problems
    return error.value.problems[0]


@pytest.mark.parametrize("key", [
    "training.tensorboard", "training.cache_latents", "training.gradient_checkpointing",
    "sampling.compile", "algorithms.lora.importance", "algorithms.lora.rs_lora",
    "algorithms.lora.dora_wd",
])  # fmt: skip
@pytest.mark.parametrize("value", ["false", "no", "", 0, 1, 0.0, []])
def test_only_true_and_false_are_switches(key: str, value: Any) -> None:
    assert f"{key.rpartition('.')[2]}" in refused(key, value)


@pytest.mark.parametrize("key", [
    "training.batch_size", "training.resolution", "sampling.steps", "sampling.seed",
    "sampling.images", "scoring.batch_size", "algorithms.lora.dim", "algorithms.lora.conv_dim",
    "algorithms.lora.capacity",
])  # fmt: skip
@pytest.mark.parametrize("value", ["8", 8.0, True, [8], float("nan"), {}])
def test_whole_numbers_are_written_as_such(key: str, value: Any) -> None:
    assert key.rpartition(".")[2] in refused(key, value)


@pytest.mark.parametrize("key", [
    "training.weight_decay", "training.warmup_epochs", "training.max_grad_norm",
    "training.caption_dropout", "sampling.guidance", "sampling.strength", "algorithms.lora.lr",
    "algorithms.lora.alpha", "algorithms.lora.dropout", "algorithms.lora.max_norm",
])  # fmt: skip
@pytest.mark.parametrize(
    "value", ["0.5", True, False, float("nan"), float("inf"), -float("inf"), 10**400]
)
def test_numbers_are_finite_numbers(key: str, value: Any) -> None:
    assert key.rpartition(".")[2] in refused(key, value)


@pytest.mark.parametrize(
    "key", ["base_model", "dataset", "prompts", "heldout", "name", "sampling.base_model"]
)
@pytest.mark.parametrize("value", ["", 3, True, ["a"]])
def test_texts_are_texts(key: str, value: Any) -> None:
    assert f"'{key}' is {value!r}" in refused(key, value)


@pytest.mark.parametrize("key", [
    "concepts", "seeds", "epochs", "sampling.prompt_types", "scoring.encoders", "sampling.strength"
])  # fmt: skip
def test_a_list_that_is_needed_is_not_empty(key: str) -> None:
    assert f"'{key}' is []: at least " in refused(key, [])


@pytest.mark.parametrize(("key", "value"), [
    ("concepts", ["toys/*", "toys/*"]),
    ("seeds", [1, 1]),
    ("epochs", [1, 1]),
    ("sampling.strength", [0.5, 0.5]),
    ("sampling.strength", [1, 1.0]),
    ("sampling.prompt_types", ["train", "style", "train"]),
    ("scoring.metrics", ["vendi", "vendi"]),
    ("scoring.encoders", ["vgg19", "vgg19"]),
    ("scoring.encoders", ["dinov2-l", "dinov2-l:letterbox"]),  # which is its own resizing
])  # fmt: skip
def test_nothing_is_named_twice(key: str, value: list[Any]) -> None:
    said = refused(key, value)
    assert "twice" in said or "each once" in said or "are the same" in said


@pytest.mark.parametrize("value", [["a", 1.0], [[1], [2]], {"a": 1}, [None], "1"])
def test_strengths_that_cannot_be_ordered(value: Any) -> None:
    with pytest.raises(StudyError, match=r"'sampling\.strength.*a number is needed"):
        parse(changed("sampling.strength", value))


@pytest.mark.parametrize("text", ["false", "False", " False", "False "])
def test_an_override_reads_true_and_false_as_toml_and_python_write_them(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(parse(GOOD).toml())
    study = load(file, [f"algorithms.lora.importance={text}", "training.tensorboard=True"])
    assert not study.configurations[0].importance and study.settings.training.tensorboard
    with pytest.raises(StudyError, match=r"lora\.importance' is 'FALSE': true or false"):
        load(file, ["algorithms.lora.importance=FALSE"])


@pytest.mark.parametrize(("text", "said"), [
    ("epochs=[3]\nname='other'", r"'epochs' is \"\[3\]"),  # a second key is not read in silence
    ("=3", "not of the form"),
    ("training.=3", "not of the form"),
    (".x=3", "not of the form"),
    ("a b=3", "not of the form"),
    ("name.first=3", "'name' is not a table"),
    ("algorithms.lora.vary.0.dim=3", "'vary' is not a table"),
    ("sampling.seed=" + "9" * 5000, "a whole number is needed"),
])  # fmt: skip
def test_overrides_that_cannot_be_meant(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(parse(GOOD).toml())
    with pytest.raises(StudyError, match=said):
        load(file, [text])


def test_an_override_may_quote_a_key(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(parse(GOOD).toml())
    study = load(file, ['combine."two words".adapters=["lora"]'])
    assert study.configurations[-1].name == "two words"


@pytest.mark.parametrize(("key", "said"), [
    ("prompt_types", "did you mean 'sampling.prompt_types'?"),
    ("encoders", "did you mean 'scoring.encoders'?"),
    ("training.steps", "did you mean 'sampling.steps'?"),
    ("sampling.resolution", "did you mean 'training.resolution'?"),
    ("batch_size", "'training.batch_size' or 'sampling.batch_size' or 'scoring.batch_size'?"),
    ("algorithms.lora.images", "did you mean 'sampling.images'?"),
    ("algorithms.lora.seeds", "did you mean 'seeds'?"),
    ("seedz", "did you mean 'seeds'?"),
])  # fmt: skip
def test_a_key_in_the_wrong_table_is_told_its_own(key: str, said: str) -> None:
    assert said in refused(key, [1])


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_study_and_its_presets_as_editors_save_them(
    tmp_path: Path, mark: bytes, end: str
) -> None:
    kind = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(mark, "utf-8")
    own = '# "\u00e9"\nunet_target_name = [".*attn1.*"]\n'
    study = parse(GOOD).toml().replace("[presets]", '[presets]\nfirst = "own.toml"')
    for name, text in (("own.toml", own), ("s.toml", study)):
        (tmp_path / name).write_bytes(mark + text.replace("\n", end).encode(kind))
    found = load(tmp_path / "s.toml", ["algorithms.lora.preset=first"])
    assert found.configurations[0].preset == "first"
    assert found.settings.presets["first"] == {"unet_target_name": [".*attn1.*"]}


def test_what_is_no_plain_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, what in ((tmp_path, "a folder"), (tmp_path / "pipe", "a pipe")):
        with pytest.raises(StudyError, match=f"{place}: is {what}; a plain file is needed"):
            load(place)
        said = refused("presets", {"own": str(place)})
        assert f"{place} is {what}" in said
    assert "missing" in refused("presets", {"own": "nowhere.toml"})
    (tmp_path / "s.toml").write_bytes(b"name = \x00")
    with pytest.raises(StudyError, match="holds NUL characters"):
        load(tmp_path / "s.toml")


def test_a_preset_with_a_date_is_a_sentence() -> None:
    import datetime

    own = {"unet_target_name": ["a"], "name_algo_map": {"b": {"dim": datetime.date(2024, 1, 2)}}}
    study = changed("presets", {"own": own})
    study["algorithms"]["lora"]["preset"] = "own"
    with pytest.raises(StudyError, match=r"presets\.own"):
        parse(study)


@pytest.mark.parametrize("key", ["algorithms.lora", "presets.own", "algorithms", "presets"])
@pytest.mark.parametrize("value", [3, True, [1]])
def test_a_table_that_is_none_is_one_sentence(key: str, value: Any) -> None:
    assert "table" in refused(key, value)
