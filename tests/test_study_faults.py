"""Study files that were taken for something else than what they say, and what fills memory or
leaves the run's folder: each is refused by a sentence, or means exactly what is written."""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_study import GOOD, mistakes
from world import table, tiny

from lycoris_bench import inputs
from lycoris_bench import plan as plans
from lycoris_bench.diffusion import buckets
from lycoris_bench.diffusion.dataset import declared
from lycoris_bench.settings import LARGEST_SEED, Training
from lycoris_bench.store import Store, safe
from lycoris_bench.study import StudyError, load, parse
from lycoris_bench.vocabulary import Checkpoint, Concept

LORA: dict[str, Any] = {"lr": 1e-3, "dim": 8, "alpha": 4}


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


def test_strengths_and_rates_that_agree_in_six_digits_are_two(tmp_path: Path) -> None:
    close = [0.1234567, 0.12345671]
    study = parse(changed("sampling.strength", close))
    store = Store(tmp_path)
    drawn = [c for c in study.checkpoints if not c.is_base]
    assert len({store.branch(c) for c in drawn}) == len({str(c) for c in drawn}) == len(drawn)
    assert store.branch(drawn[0]).name == "epoch-001-strength-0.1234567"
    plain = Checkpoint(drawn[0].configuration, 23, 1, strength=0.5)
    assert store.branch(plain).name == "epoch-001-strength-0.5"  # as older runs have it
    rates = parse(changed("algorithms.lora.vary", [{"lr": rate * 1e-3} for rate in close]))
    assert len({c.name for c in rates.configurations}) == 3


def test_two_ways_to_write_a_number_are_one_configuration() -> None:
    said = refused("algorithms.lora", {**LORA, "alpha": 4, "vary": [{"alpha": 4.0}]})
    assert said == "configurations 'lora' and 'lora-alpha4' are the same"
    whole, fraction = (
        parse(changed("algorithms.lora", {**LORA, "alpha": alpha})).configurations[0]
        for alpha in (4, 4.0)
    )
    assert whole.uid == fraction.uid


@pytest.mark.parametrize(
    "name", [".", "..", "...", ".hidden", "-x", "a/b", "a b", "a\n", "x" * 81, "\U0001d4b3" * 80]
)
def test_the_name_of_a_study_stays_in_its_folder(name: str) -> None:
    assert "it names the run's folder" in refused("name", name)


@pytest.mark.parametrize("name", [
    "base", "real", "Base", "REAL", "base.parquet", "real.parquet", "base-images.parquet",
    "Real-Images.parquet", "", " ", "a ", " a", "a.", "..", ".", "x.part", "a\nb", "a\x1b[31m",
    "a\u202eb", "LORA", "lora",
])  # fmt: skip
@pytest.mark.parametrize("where", ["vary", "combine"])
def test_a_configuration_is_not_called_as_a_stored_file_or_another(name: str, where: str) -> None:
    study = copy.deepcopy(GOOD)
    if where == "vary":
        study["algorithms"]["lora"]["vary"] = [{"name": name, "dim": 4}]
    else:
        study["combine"] = {name: {"adapters": ["lora"]}}
    with pytest.raises(StudyError) as error:
        parse(study)
    assert len(error.value.problems) == 1


def test_names_that_differ_by_an_escape_have_folders_of_their_own(tmp_path: Path) -> None:
    names = ["a/b", "a%2Fb", ".a", "%2Ea", "given", "a:b", "a%3Ab", "lora-images", "x" * 400]
    vary = [{"name": name, "dim": k + 1} for k, name in enumerate(names)]
    study = parse(changed("algorithms.lora", {"lr": 1e-3, "dim": 64, "vary": vary}))
    store = Store(tmp_path)
    folders = {store.branch(c).parts[0] for c in study.checkpoints[1:]}
    assert len(folders) == len(names) + 1
    (tmp_path / max(folders, key=len)).mkdir()


def test_the_name_of_a_default_is_used() -> None:
    study = parse(changed("algorithms.lora", {**LORA, "name": "mine", "vary": [{"dim": 4}]}))
    assert [c.name for c in study.configurations] == ["mine", "lora-dim4"]
    assert "lora.name' is 3" in refused("algorithms.lora.name", 3)
    assert "has a 'vary' within" in refused("algorithms.lora.vary", [{"dim": 4, "vary": []}])


@pytest.mark.parametrize("name", ["x" * 255, "?" * 90, "é" * 127, "☃" * 85, "a" * 253 + ".."])
def test_class_names_near_the_longest_have_a_folder(tmp_path: Path, name: str) -> None:
    """255 bytes on disk are more once '?' is written as %3F."""
    found, twin = safe(name), safe(name[:-1] + "y")
    assert len(os.fsencode(found)) <= 255 and found != twin
    (tmp_path / found).mkdir()
    if len(name.encode()) <= 255 and "?" not in name:
        assert found == name


def test_a_seed_that_every_generator_takes() -> None:
    assert "at most 4611686018427387904" in refused("sampling.seed", 2**70)
    assert "below 2147483648" in refused("seeds", [2**31]).replace("a number ", "")
    assert parse(changed("sampling.seed", LARGEST_SEED)).settings.sampling.seed + 10**6 < 2**63


@pytest.mark.parametrize("key", [
    "training.batch_size", "training.images_per_class", "training.gradient_accumulation",
    "training.max_tokens", "training.clip_skip", "training.warmup_epochs", "sampling.images",
    "sampling.batch_size", "sampling.steps", "sampling.width", "scoring.batch_size",
    "algorithms.lora.dim", "algorithms.lora.alpha",
])  # fmt: skip
def test_every_number_has_an_upper_bound(key: str) -> None:
    assert key.rpartition(".")[2] in refused(key, 10**12)


def test_products_that_no_memory_holds_are_refused_with_the_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid = {"seeds": list(range(2000)), "epochs": list(range(1, 201))}
    assert "3 configurations x 2,000 seeds x 200 epochs x 1 strengths are 1,200,000 checkpoints; "\
        "at most 1,000,000" in mistakes(lambda t: t.update(grid))[0]  # fmt: skip
    cases = (
        ({"training": {"images_per_class": 10**6}, "epochs": [10**5]}, "training steps; at most"),
        ({"sampling": {"images": 10**6}}, "8,000,000 images of one checkpoint; at most 1,000,000"),
    )
    for changes, said in cases:
        with pytest.raises(StudyError, match=said):
            plans.plan(tiny(**changes))
    big = declared({Concept("a", "b"): 1}, (32, 32)).repeating({Concept("a", "b"): 10**9})
    asked = plans.plan(tiny())
    huge = {"": inputs.Captioned(big, asked.prompt_sets)}
    monkeypatch.setattr(inputs, "captioned", lambda study, absent: huge)
    with pytest.raises(StudyError, match="1,000,000,000 images in an epoch; at most 10,000,000"):
        plans.plan(tiny())


def test_a_declared_dataset_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "concepts.toml").write_text('["a/b"]\nimages = 1000000000\n')
    study = parse(table(dataset=str(tmp_path / "none"), prompts=str(tmp_path), concepts=["*"]))
    with pytest.raises(StudyError, match="1,000,000,000 images are declared; at most 1,000,000"):
        plans.plan(study, absent=[])


def test_steps_are_counted_without_the_batches_and_are_as_many() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        counts = {Concept("a", str(k)): int(n) for k, n in enumerate(random.integers(1, 40, 3))}
        data = declared(counts, tuple(random.integers(32, 96, 2).tolist()))  # type: ignore[arg-type]
        settings = Training(
            resolution=64, bucket_step=8, bucket_min=40, bucket_max=96,
            batch_size=int(random.integers(1, 9)), images_per_class=int(random.integers(1, 90)),
            gradient_accumulation=int(random.integers(1, 4)),
        )  # fmt: skip
        batches = buckets.epoch_batches(
            buckets.assign(data, settings), data.repeats(settings.images_per_class),
            settings.batch_size, seed=3, epoch=2,
        )  # fmt: skip
        steps = buckets.steps_per_epoch(data, settings)
        assert steps == int(np.ceil(len(batches) / settings.gradient_accumulation))


def test_the_work_of_many_variations_grows_with_their_number() -> None:
    """Counted, not timed: comparisons of names and mistakes must not be pairwise."""
    calls = 0

    class Text(str):
        def __eq__(self, other: object) -> bool:
            nonlocal calls
            calls += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    vary = [{"dim": k, "name": Text(f"n{k}")} for k in range(1, 2001)]
    study = parse(changed("algorithms.lora", {"lr": 1e-3, "dim": 3000, "vary": vary}))
    assert len(study.configurations) == 2001 and calls < 20 * 2001
    wrong = [{"dim": -k} for k in range(1, 2001)]
    assert len(mistakes(lambda t: t["algorithms"]["lora"].update(vary=wrong))) == 2000


def test_many_combinations_are_as_many_lookups() -> None:
    combine = {f"c{k}": {"adapters": ["lora"], "strengths": [k / 1e4]} for k in range(1500)}
    study = parse({**GOOD, "combine": combine})
    assert len(study.combined) == 1500 * 2
    assert study.own is study.own  # made once, whoever asks


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


@pytest.mark.parametrize("again", ["a.safetensors", "./a.safetensors", "b/../a.safetensors"])
def test_a_file_is_not_added_twice_under_two_names(tmp_path: Path, again: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.safetensors").touch()
    combine = {"x": {"adapters": ["a.safetensors", again]}}
    with pytest.raises(StudyError, match="twice"):
        parse({**GOOD, "combine": combine}, tmp_path)


@pytest.mark.parametrize("key", ["algorithms.lora", "presets.own", "algorithms", "presets"])
@pytest.mark.parametrize("value", [3, True, [1]])
def test_a_table_that_is_none_is_one_sentence(key: str, value: Any) -> None:
    assert "table" in refused(key, value)
