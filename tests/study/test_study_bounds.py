"""What fills memory or leaves the run's folder: names, bounds, and work that grows."""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lycoris_bench.data.dataset import declared
from lycoris_bench.planning import plan as plans
from lycoris_bench.planning import resolve
from lycoris_bench.run.safe_names import safe
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import StudyError, parse
from lycoris_bench.study.records import Checkpoint, Concept
from lycoris_bench.study.settings import Training
from lycoris_bench.study.table import LARGEST_SEED
from lycoris_bench.training import buckets
from tests.study.test_study import GOOD, mistakes
from tests.study.test_study_types import changed, refused
from tests.support.world import table, tiny

LORA: dict[str, Any] = {"lr": 1e-3, "dim": 8, "alpha": 4}


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
    assert "3 configurations x 2,000 seeds x 200 epochs x 1 strength are 1,200,000 checkpoints; "\
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
    huge = {"": resolve.Captioned(big, {}, asked.prompt_sets)}
    monkeypatch.setattr(resolve, "captioned", lambda study, absent: huge)
    with pytest.raises(StudyError, match="1,000,000,000 images in an epoch; at most 10,000,000"):
        plans.plan(tiny())


def test_a_declared_dataset_is_bounded(tmp_path: Path) -> None:
    study = parse(table(dataset=str(tmp_path / "none"), prompts=str(tmp_path), concepts=["*"]))
    several = "".join(f'["a/{k}"]\nimages = 100000\n' for k in range(11))
    for written, said in (
        ('["a/b"]\nimages = 1000000000\n', "a/b: images is 1000000000; a number from 1 to"),
        ('["a/b"]\nimages = "3"\n', "a/b: images is '3'; a number"),
        (several, "1,100,000 images are declared; at most 1,000,000"),
    ):
        (tmp_path / "concepts.toml").write_text(written)
        with pytest.raises(ValueError, match=said):
            plans.plan(study, absent=[])


def test_steps_are_counted_without_the_batches_and_are_as_many() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        counts = {Concept("a", str(k)): int(n) for k, n in enumerate(random.integers(1, 40, 3))}
        data = declared(counts, tuple(random.integers(32, 96, 2).tolist()))
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


@pytest.mark.parametrize("again", ["a.safetensors", "./a.safetensors", "b/../a.safetensors"])
def test_a_file_is_not_added_twice_under_two_names(tmp_path: Path, again: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.safetensors").touch()
    combine = {"x": {"adapters": ["a.safetensors", again]}}
    with pytest.raises(StudyError, match="twice"):
        parse({**GOOD, "combine": combine}, tmp_path)
