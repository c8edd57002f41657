"""Configurations that are taught some concepts alone: what they train on and draw, what changes
with them, and that nothing else does."""

from pathlib import Path

import pytest

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.planning import scored_rows, time_and_disk
from lycoris_bench.planning.overview import listing
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.store import Store
from lycoris_bench.stages import train as training
from lycoris_bench.study.load import StudyError, parse
from lycoris_bench.study.records import Checkpoint
from tests.support.world import HERE, table, tiny

LORA = {"lr": 2e-3, "dim": 2, "alpha": 1}
ALONE = [
    {"name": "bunny", "concepts": ["toys/bunny"]},
    {"name": "lobster", "concepts": ["toys/lob*"]},
    {"name": "castle", "concepts": ["scenes/*"]},
]
CONCEPTS = ["toys/bunny", "toys/lobster", "scenes/castle"]
MERGED = {
    "toys": {"adapters": ["bunny", "lobster"]},
    "every": {"adapters": ["bunny", "lobster", "castle"], "strengths": [1, 1, 0.5]},
    "mixed": {"adapters": ["lora", "bunny"]},
}


def asked(*vary: dict[str, object], **changes: object) -> Plan:
    algorithms = {"lora": {**LORA, "vary": list(vary)}}
    sampling = {"prompt_types": ["trigger", "compose"]}
    kept = {"concepts": CONCEPTS, "epochs": [1], "sampling": sampling, "algorithms": algorithms}
    return plan(tiny(**kept | changes))


def of(one: Plan, name: str) -> Checkpoint:
    return next(c for c in one.checkpoints if c.configuration.name == name)


def drawn(one: Plan, name: str) -> set[str]:
    return {
        " + ".join(map(str, prompt_set.concepts))
        for prompt_set in one.prompt_sets_of(of(one, name))
    }


def test_each_is_drawn_with_what_it_was_taught() -> None:
    every = asked(*ALONE, combine=MERGED)
    whole = {*CONCEPTS, "toys/bunny + toys/lobster", "toys/lobster + scenes/castle",
             "scenes/castle + toys/bunny"}  # fmt: skip
    assert drawn(every, "base") == drawn(every, "lora") == whole
    assert drawn(every, "bunny") == {"toys/bunny"} and drawn(every, "castle") == {"scenes/castle"}
    assert drawn(every, "toys") == {"toys/bunny", "toys/lobster", "toys/bunny + toys/lobster"}
    assert drawn(every, "every") == drawn(every, "mixed") == whole
    images = every.study.settings.sampling.images
    for name in ("base", "bunny", "toys", "every"):
        assert every.image_count(of(every, name)) == len(drawn(every, name)) * images
        assert len(every.jobs(of(every, name))) == every.image_count(of(every, name))


def test_only_they_are_new() -> None:
    before, after = asked(), asked(*ALONE, combine=MERGED)
    store = Store(Path("none"))
    for name in ("base", "lora"):
        mine, theirs = of(before, name), of(after, name)
        assert before.checkpoint_uid(mine) == after.checkpoint_uid(theirs)
        assert before.drawn_by(mine) == after.drawn_by(theirs)
        rows = [scored_rows.inputs(one, store, c) for one, c in ((before, mine), (after, theirs))]
        assert rows[0] == rows[1]
    identities = {row["configuration"]: row for row in scored_rows.identities(after)}
    assert all(row == identities[row["configuration"]] for row in scored_rows.identities(before))
    uids = [after.checkpoint_uid(checkpoint) for checkpoint in after.trained]
    assert len(set(uids)) == len(uids) == 4


def test_every_concept_is_no_concept_of_its_own() -> None:
    silent, said = (
        asked(),
        asked(concepts=CONCEPTS, algorithms={"lora": {**LORA, "concepts": ["*"]}}),
    )
    assert silent.checkpoint_uid(silent.trained[0]) == said.checkpoint_uid(said.trained[0])


@pytest.mark.study
def test_it_trains_as_a_study_of_its_concepts_does(tmp_path: Path, quick_base: str) -> None:
    """Bit for bit, in as many steps; and not as one of all concepts does."""
    made, steps = {}, {}
    studies = {"both": asked(ALONE[0], base_model=quick_base),
               "own": asked(base_model=quick_base, concepts=["toys/bunny"],
                            sampling={"prompt_types": ["trigger"]})}  # fmt: skip
    for name, one in studies.items():
        store = Store(tmp_path / name)
        assert not training.train(one, store, HERE).failed
        for c in one.trained:
            key = name, c.configuration.name
            made[key] = adapter_file.read(store.checkpoint(c))[0]
            card = store.card(c)
            assert card and card.cost
            steps[key] = card.cost["steps"]
            assert steps[key] == one.steps(1, c.configuration)
    alone, own, whole = made["both", "bunny"], made["own", "lora"], made["both", "lora"]
    assert alone.keys() == own.keys() and all(alone[key].equal(own[key]) for key in own)
    assert any(not alone[key].equal(whole[key]) for key in whole)
    assert steps["both", "bunny"] == steps["own", "lora"] < steps["both", "lora"]


def test_counts_and_estimates_are_of_its_own(tmp_path: Path) -> None:
    one, store = asked(*ALONE, combine=MERGED), Store(tmp_path)
    status = Status(one, store)
    assert time_and_disk.steps_left(status) == sum(
        one.steps(1, c.configuration) for c in one.trained
    )
    found = {row["checkpoint"]: row["of"] for row in listing(one, store)["checkpoints"]}
    assert (found["bunny/seed-23/epoch-001"], found["lora/seed-23/epoch-001"]) == (2, 12)
    assert status.lacking(of(one, "toys")) == 6


@pytest.mark.parametrize(("concepts", "said"), [
    (["toys/buny"], "'concepts' of one: unknown concept 'toys/buny'; did you mean 'toys/bunny'?"),
    (["styles/woodcut"], "'concepts' of one: unknown concept 'styles/woodcut'"),
])  # fmt: skip
def test_concepts_that_are_not_in_the_study_are_named(concepts: list[str], said: str) -> None:
    with pytest.raises(StudyError) as error:
        asked({"name": "one", "concepts": concepts})
    assert any(said in problem for problem in error.value.problems)


@pytest.mark.parametrize("concepts", ["toys/bunny", [], [1], [""]])
def test_a_list_of_patterns_is_needed(concepts: object) -> None:
    algorithms = {"lora": {**LORA, "concepts": concepts}}
    with pytest.raises(StudyError, match=r"'algorithms.lora.concepts' is .*like \['toys/\*'\]"):
        parse(table(algorithms=algorithms))


def test_names_say_what_is_taught() -> None:
    study = parse(table(algorithms={"lora": {**LORA, "vary": [{"concepts": ["toys/bunny"]}]}}))
    assert [c.name for c in study.configurations] == ["lora", "lora-toys-bunny"]
    assert [c.importance for c in study.configurations] == [True, False]
