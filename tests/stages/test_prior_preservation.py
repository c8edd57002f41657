"""Class images in a run: drawn once before the trainings, found again after a kill, removed with
the rest; a study without them is what it was."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.planning import class_images, overview, time_and_disk
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.outcome import Outcome
from lycoris_bench.run.store import Store
from lycoris_bench.stages import class_images as drawn
from lycoris_bench.stages import drawing
from lycoris_bench.stages import train as stage
from lycoris_bench.stages.run import run as run_all
from lycoris_bench.study.load import StudyError, parse
from lycoris_bench.study.records import BASE_CHECKPOINT
from lycoris_bench.study.settings import Training
from tests.support.shared import BRIEF, once
from tests.support.world import HERE, killed, table, tiny

PRIOR = {"weight": 1.0, "images": 3}
pytestmark = [
    pytest.mark.study,
    pytest.mark.usefixtures("undrawn"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def study(base: str, prior: Any = PRIOR, **changes: Any) -> Plan:
    """The brief study, of two class words; two configurations."""
    given = {**BRIEF, "algorithms": {"lora": {"lr": 2e-3, "dim": 2}, "lokr": {"lr": 2e-3}},
             **changes, "base_model": base, "concepts": ["toys/bunny", "scenes/*"]}  # fmt: skip
    asked = table(**given)
    if prior:
        asked["training"] = {**asked["training"], "prior_preservation": prior}
    return plan(parse(asked))


def trained(asked: Plan, store: Store) -> Outcome:
    with store.lock():
        return stage.train(asked, store, HERE)


def pictures(store: Store) -> dict[str, bytes]:
    found = sorted(store.class_images.rglob("*.png"))
    return {str(path.relative_to(store.root)): path.read_bytes() for path in found}


def weights(store: Store) -> dict[str, bytes]:
    found = sorted(store.root.glob("checkpoints/**/*.safetensors"))
    return {str(path.relative_to(store.root)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def asked(quick_base: str) -> Plan:
    return study(quick_base)


@pytest.fixture(scope="module")
def whole(asked: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run trained without a break. To look at, not to change."""

    def make(folder: Path) -> None:
        outcome = trained(asked, Store(folder))
        assert outcome.done == len(asked.trained) and not outcome.failed, outcome

    return Store(once(tmp_path_factory, "prior", make))


def test_they_are_drawn_once_from_each_class_word(asked: Plan, whole: Store) -> None:
    drawing_ = asked.class_images
    assert drawing_
    prompts = sorted({job.prompt for job in drawing_.jobs(BASE_CHECKPOINT)})
    words = {asked.class_words[c] for c in asked.data.concepts}
    assert prompts == sorted(f"a {word}" for word in words) and len(words) > 1
    assert len(pictures(whole)) == 3 * len(words)
    examples = drawn.examples(asked, whole).examples
    assert {e.caption for e in examples} == {*prompts} and {e.size for e in examples} == {(32, 32)}
    # no scored image has the noise of one
    seeds = {job.seed for job in drawing_.jobs(BASE_CHECKPOINT)}
    assert not seeds & {job.seed for job in asked.jobs(BASE_CHECKPOINT)}
    again = trained(asked, whole)
    assert (again.done, again.skipped) == (0, len(asked.trained))


def test_a_study_without_them_is_what_it_was(quick_base: str) -> None:
    """The identity of what was trained before this option, and of no class image."""
    without = study(quick_base, prior=None)
    assert "prior_preservation" not in without.study.settings.training.identity()
    assert "prior_preservation" not in without.study.toml() and without.class_images is None
    assert class_images.identity(without) == ""


MIXED = {
    "lora": {
        "lr": 2e-3, "dim": 2, "name": "free", "prior_preservation": False,
        "vary": [{"prior_preservation": True, "name": "held"}],
    },
}  # fmt: skip


def uids(asked: Plan, name: str) -> list[str]:
    return [asked.checkpoint_uid(c) for c in asked.trained if c.configuration.name == name]


def of(store: Store, name: str) -> list[bytes]:
    """The numbers of its checkpoints, without what the files say of it."""
    found = [data for path, data in weights(store).items() if f"/{name}/" in path]
    return [data[8 + int.from_bytes(data[:8], "little") :] for data in found]


def test_a_configuration_may_leave_them_out(quick_base: str, whole: Store, tmp_path: Path) -> None:
    """What is held is, to the last bit, what a study of such trainings alone makes, and what is
    not, what a study without class images does; a step of the former is twice the work."""
    mixed, none = study(quick_base, algorithms=MIXED), study(quick_base, prior=None)
    every = study(quick_base)
    for alike, name, own in ((none, "lora", "free"), (every, "lora", "held")):
        assert uids(mixed, own) == uids(alike, name)
    assert time_and_disk._batches(mixed) == 1.5
    assert [time_and_disk._batches(asked) for asked in (none, every)] == [1, 2]
    store, without = Store(tmp_path / "mixed"), Store(tmp_path / "none")
    assert not trained(mixed, store).failed
    assert not trained(replace(none, limit=len(uids(none, "lora"))), without).failed
    assert of(store, "free") == of(without, "lora")
    assert of(store, "held") == of(whole, "lora") != of(store, "free")
    factors = run_tables.factors(mixed.study.configurations)
    assert factors["prior_preservation"].to_list() == ["without", "with"]
    assert "prior_preservation" not in run_tables.factors(every.study.configurations)


def test_nothing_is_drawn_where_no_configuration_needs_it(quick_base: str, tmp_path: Path) -> None:
    free = {"lora": {"lr": 2e-3, "dim": 2, "prior_preservation": False}}
    asked = study(quick_base, algorithms=free)
    assert asked.class_images is None
    store = Store(tmp_path / "run")
    items = stage.trainings(asked, store, HERE, Outcome())
    assert [item.name for item in items] == ["lora/seed-23"] and not items[0].after


def test_only_those_that_are_held_wait_for_them(quick_base: str, tmp_path: Path) -> None:
    asked = study(quick_base, algorithms=MIXED)
    items = stage.trainings(asked, Store(tmp_path / "run"), HERE, Outcome())
    *drawn_, free, held = items
    assert (free.after, held.after) == (frozenset(), {item.name for item in drawn_})
    assert len(drawn_) == 2 and (free.unit, held.unit) == (1, 2)


def test_all_that_they_depend_on_is_in_the_identity_of_a_checkpoint(quick_base: str) -> None:
    def uids(**changes: Any) -> tuple[str, ...]:
        made = study(quick_base, **changes)
        return tuple(made.checkpoint_uid(c) for c in made.trained)

    sampling = BRIEF["sampling"]
    kinds = [
        uids(), uids(prior=None), uids(prior={"images": 4}), uids(prior={"weight": 0.5}),
        uids(sampling={**sampling, "steps": 3}), uids(sampling={**sampling, "seed": 5}),
    ]  # fmt: skip
    assert len({*kinds}) == len(kinds)
    assert uids(prior=None) == uids(prior=None, sampling={**sampling, "steps": 3})
    # how many images are scored, and of what size, is no matter of theirs
    assert uids() == uids(sampling={**sampling, "images": 5, "width": 64, "batch_size": "auto"})


def test_a_killed_run_goes_on_with_the_same_images_and_weights(
    asked: Plan, whole: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, put = Store(tmp_path / "run"), Store.put_image
    count = [0]

    def dying(self: Store, path: Path, *given: Any) -> None:
        if count[0] == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        count[0] += 1
        put(self, path, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put_image", dying)
        assert killed(lambda: trained(asked, store)) == signal.SIGKILL
    first = {path: path.stat().st_mtime_ns for path in store.class_images.rglob("*.png")}
    assert len(first) == 4 and not weights(store)
    assert not trained(asked, store).failed
    assert pictures(store) == pictures(whole) and weights(store) == weights(whole)
    assert all(path.stat().st_mtime_ns == then for path, then in first.items())


def test_a_damaged_one_is_drawn_again_before_a_training_only(
    asked: Plan, whole: Store, tmp_path: Path
) -> None:
    store = Store(shutil.copytree(whole.root, tmp_path / "run"))
    path = next(store.class_images.rglob("*.png"))
    path.write_bytes(path.read_bytes()[:-20])
    assert trained(asked, store).skipped == len(asked.trained)
    assert pictures(store) != pictures(whole)  # no training is left that would look at it
    store.remove_weights(asked.trained[0])
    assert not trained(asked, store).failed
    assert pictures(store) == pictures(whole) and weights(store) == weights(whole)


def test_a_refused_image_leaves_nothing_trained(
    asked: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_fault", lambda *_: "blank")
    outcome = trained(asked, Store(tmp_path / "run"))
    said = [*outcome.failed.values()]
    assert not outcome.done and any("is blank; another sampling.seed" in text for text in said)
    assert any("not begun, as class images of" in text for text in said)


@pytest.mark.parametrize("keep, left", [("all", 3), ("sample", 1), ("none", 0)])
def test_run_keeps_of_them_what_it_keeps_of_other_images(
    asked: Plan, tmp_path: Path, keep: str, left: int
) -> None:
    store = Store(tmp_path / "run")
    one = replace(asked, limit=1)
    steps: list[float] = []
    options = replace(
        HERE, keep_images=keep, progress=lambda _, done, total: steps.append(done / total)
    )
    with store.lock():
        outcome = run_all(one, store, options)
    assert not outcome.failed
    assert sum(steps) == pytest.approx(1)
    assert len(pictures(store)) == left * len({*class_images.words(asked).values()})
    # what is removed is drawn again, the same, for a training that is asked for later
    before = pictures(store)
    assert not trained(asked, store).failed
    assert before.items() <= pictures(store).items() and len(pictures(store)) > 0


def test_workers_draw_the_words_at_once(asked: Plan, whole: Store, tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    with store.lock():
        assert not stage.train(asked, store, replace(HERE, workers=2)).failed
    assert pictures(store) == pictures(whole) and weights(store) == weights(whole)


def test_a_concept_without_a_class_word_is_told(quick_base: str, asked: Plan) -> None:
    words = {**asked.class_words, asked.data.concepts[-1]: ""}
    nameless = replace(asked, class_words=words)
    [said] = class_images.problems(nameless)
    assert said == (
        "training.prior_preservation draws images of each class word, and toys/bunny has none in "
        "concepts.toml: write class_word there, or leave prior_preservation out"
    )
    assert not [*class_images.problems(study(quick_base, prior=None))]


@pytest.mark.parametrize(
    "prior, said",
    [
        ({"wieght": 1.0}, "unknown key 'training.prior_preservation.wieght'"),
        ({"weight": 0.0}, "'training.prior_preservation.weight' is 0.0: a number above 0"),
        ({"images": 0}, "'training.prior_preservation.images' is 0: 1 or more is needed"),
        (True, "'training.prior_preservation' is True: a table is needed"),
    ],
)
def test_mistakes_in_the_study_file(prior: Any, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        tiny(training={"prior_preservation": prior})
    assert said in str(caught.value)
    assert Training(prior_preservation=None) == Training()


@pytest.mark.parametrize(
    "own, said",
    [
        ({"prior_preservation": True}, "'algorithms.lora.prior_preservation' says who is held to"),
        ({"vary": [{"dim": 4, "prior_preservation": False}]}, "write the table [training.prior_"),
        ({"prior_preservation": 0.5}, "is 0.5: true or false is needed"),
    ],
)
def test_mistakes_of_a_configuration(own: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as caught:
        tiny(algorithms={"lora": {"lr": 1e-3, **own}})
    assert said in str(caught.value)


def test_the_plan_says_what_is_drawn(asked: Plan, whole: Store, tmp_path: Path) -> None:
    before = overview.overview(asked, Store(tmp_path / "run"), [], rate="7,4")
    after = overview.overview(asked, whole, [], rate="7,4")
    words = len({*class_images.words(asked).values()})
    assert (before["class_images_left"], after["class_images_left"]) == (3 * words, 0)
    assert "class images 3 of 'a " in before["text"] and f"{3 * words} left" in before["text"]
    drawing_ = asked.class_images
    assert drawing_ and Status(drawing_, class_images.store_of(whole)).lacking(BASE_CHECKPOINT) == 0
