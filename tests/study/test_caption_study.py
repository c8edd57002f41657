"""Configurations that differ in their captions alone (H.3): each trains on its own files, and its
train prompts are what it was trained on."""

import shutil
from pathlib import Path

import pytest

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.stages import train as training
from lycoris_bench.study.load import StudyError
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import BASE_CHECKPOINT
from tests.support.world import HERE, tiny

MINIATURE = locate("package:miniature/dataset", Path())
LORA = {"lr": 2e-3, "dim": 2, "alpha": 1}


@pytest.fixture
def dataset(tmp_path: Path, quick_base: str) -> Path:
    """Two toys with captions of two kinds: the second only names the toy; and a base model."""
    (tmp_path / "base").symlink_to(quick_base)
    for name in ("toys/bunny", "toys/lobster"):
        shutil.copytree(MINIATURE / name, tmp_path / "data" / name)
    shutil.copy(MINIATURE / "concepts.toml", tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.txt"):
        path.with_suffix(".no-tags").write_text(path.read_text().split(",")[0].split(" on ")[0])
    return tmp_path / "data"


def asked(dataset: Path, *vary: dict[str, str], **own: str) -> Plan:
    algorithms = {"lora": {**LORA, **own, "vary": list(vary)}}
    base = str(dataset.parent / "base")
    return plan(tiny(base_model=base, dataset=str(dataset), epochs=[1], algorithms=algorithms))


def test_only_the_named_configuration_changes(dataset: Path) -> None:
    before, both = asked(dataset), asked(dataset, {"captions": ".no-tags"})
    main, other = both.trained
    assert other.configuration.name == "lora-no-tags"
    assert before.checkpoint_uid(before.trained[0]) == both.checkpoint_uid(main)
    assert both.checkpoint_uid(other) != both.checkpoint_uid(main)
    written = {path.read_text() for path in dataset.rglob("*.no-tags")}
    drawn = {job.prompt for job in both.jobs(other) if job.image_set.prompt_type == "train"}
    assert drawn <= written
    assert both.prompt_sets_of(main) == both.prompt_sets_of(BASE_CHECKPOINT) == before.prompt_sets
    for kind in ("trigger", "alter", "style"):
        mine, theirs = (
            [job.prompt for job in both.jobs(c) if job.image_set.prompt_type == kind]
            for c in (main, other)
        )
        assert mine == theirs


@pytest.mark.study
def test_it_trains_as_if_those_captions_were_the_main_ones(dataset: Path, tmp_path: Path) -> None:
    """Bit for bit, in the same process; and not as the main captions do."""
    made = []
    both = asked(dataset, {"captions": ".no-tags"})
    store = Store(tmp_path / "both")
    assert training.train(both, store, HERE).done == 2
    made += [adapter_file.read(store.checkpoint(checkpoint))[0] for checkpoint in both.trained]
    for path in dataset.rglob("*.no-tags"):
        path.replace(path.with_suffix(".txt"))
    alone = asked(dataset)
    store = Store(tmp_path / "alone")
    assert training.train(alone, store, HERE).done == 1
    made.append(adapter_file.read(store.checkpoint(alone.trained[0]))[0])
    main, other, same = made
    assert all(other[name].equal(same[name]) for name in same) and other.keys() == same.keys()
    assert any(not main[name].equal(other[name]) for name in main)


def test_captions_that_are_not_there_are_named(dataset: Path) -> None:
    said = r"\d+ of \d+ captions are missing: toys/bunny/0001\.all-tags.*--strategy all"
    with pytest.raises(ValueError, match=said):
        asked(dataset, {"captions": ".all-tags"})
    with pytest.raises(StudyError, match=r"'no-tags': the extension of caption files is needed"):
        asked(dataset, {"captions": "no-tags"})


def test_the_main_captions_may_be_named(dataset: Path) -> None:
    named, silent = asked(dataset, captions=".txt"), asked(dataset)
    assert named.checkpoint_uid(named.trained[0]) == silent.checkpoint_uid(silent.trained[0])
