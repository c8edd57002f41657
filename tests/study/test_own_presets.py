"""Presets that a study defines: which layers, and other algorithms on some of them."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import StudyError, parse
from tests.support.world import run, table, tiny

QUERIES: dict[str, Any] = {
    "unet_target_name": ["*.attn1.to_q", "*.ff.net.2"],
    "use_fnmatch": True,
    "name_algo_map": {"*.ff.net.2": {"algo": "lokr", "factor": 4}},
}
LORA = {"lora": {"lr": 1e-2, "dim": 2, "alpha": 1, "preset": "queries"}}


def test_a_study_trains_the_layers_of_its_own_preset(tmp_path: Path) -> None:
    study = tiny(
        concepts=["toys/bunny"], epochs=[1], algorithms=LORA, presets={"queries": QUERIES},
        sampling={"prompt_types": ["trigger"], "images": 1, "steps": 1},
    )  # fmt: skip
    asked, store = plan(study), Store(tmp_path)
    assert not run(asked, store, ("train", "generate"))["generate"].failed
    (checkpoint,) = asked.trained
    found = adapter_file.by_layer(adapter_file.read(store.checkpoint(checkpoint))[0])
    assert {adapter_file.recognise(tensors)[0] for tensors in found.values()} == {"lora", "lokr"}
    for layer, tensors in found.items():
        kind = "lokr_w1" if layer.endswith("ff_net_2") else "lora_up.weight"
        assert kind in tensors and layer.endswith(("attn1_to_q", "ff_net_2"))
        assert layer.startswith("lora_unet_")
    applied = store.read_json(store.applied(checkpoint))
    assert applied["matched"] == len(found) and applied["unmatched"] == []


def test_the_presets_content_is_part_of_the_identity() -> None:
    one = tiny(epochs=[1], algorithms=LORA, presets={"queries": QUERIES})
    less = {**QUERIES, "unet_target_name": ["*.attn1.to_q"]}
    other = tiny(epochs=[1], algorithms=LORA, presets={"queries": less})
    assert one.configurations[0].uid != other.configurations[0].uid
    again = parse(tomllib.loads(one.toml()))
    assert again.configurations == one.configurations
    assert again.preset(again.configurations[0]) == one.preset(one.configurations[0])


def test_a_preset_may_lie_in_a_file_beside_the_study(tmp_path: Path) -> None:
    text = 'unet_target_name = [".*attn1.to_q$"]\n'
    (tmp_path / "mine.toml").write_text(text)
    changed = table(algorithms=LORA, presets={"queries": "mine.toml"})
    study = parse(changed, folder=tmp_path)
    assert study.settings.presets["queries"] == tomllib.loads(text)


@pytest.mark.parametrize(("presets", "preset", "said"), [
    ({"queries": {"unet_target": []}}, "queries", "did you mean 'unet_target_name'"),
    ({"queries": {"unet_target_name": "x"}}, "queries", "a list of names is allowed"),
    ({"queries": "none.toml"}, "queries", "'presets.queries'"),
    ({"attn-mlp": QUERIES}, "attn-mlp", "a preset that exists"),
    ({"queries": QUERIES}, "querys", "did you mean 'queries'"),
    ({}, "ia3", "'ia3' is for ia3 alone"),
    ({"own": {"name_algo_map": {".*to_q": {"a": 1}}}}, "own", "map for '.*to_q': unknown"),
    ({"own": {"name_algo_map": {".*to_q": {"dim": 0}}}}, "own", "map for '.*to_q'"),
    ({"own": {"name_algo_map": {".*to_q": {"algo": "lokr", "dim": 1.5}}}}, "own", "dim"),
])  # fmt: skip
def test_mistakes(presets: dict[str, Any], preset: str, said: str) -> None:
    algorithms = {"lora": {**LORA["lora"], "preset": preset}}
    with pytest.raises(StudyError) as error:
        parse(table(algorithms=algorithms, presets=presets))
    assert any(said in problem for problem in error.value.problems), error.value.problems
