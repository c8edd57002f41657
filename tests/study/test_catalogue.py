"""`ls adapters` and the like: everything a study file may name, from the registries alone."""

import dataclasses
import json
from pathlib import Path

import pytest

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.cli import main
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.catalogue import KINDS, catalogue
from tests.support.plugin import FILES, Load


def test_every_algorithm_with_every_option_and_its_default() -> None:
    found = {entry["name"]: entry for entry in catalogue("adapters")["adapters"]}
    assert found.keys() == ALGORITHMS.entries().keys() >= {"lora", "loha", "lokr", "full"}
    for name, kind in ALGORITHMS.entries().items():
        options = found[name]["options"]
        own = {field.name for field in dataclasses.fields(kind.Options)}
        common = {"dropout", "rank_dropout", "rank_dropout_scale", "module_dropout", "max_norm"}
        assert options.keys() == own | common
    assert found["lora"]["options"]["dim"]["default"] == "8"
    assert found["lokr"]["options"]["factor"]["default"] == "8"
    assert found["lora"]["options"]["conv_dim"]["default"] == "none"


@pytest.mark.parametrize("kind", KINDS)
def test_ls_prints_each_name_once(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.call(main.command(), ["ls", kind, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)[kind]
    assert main.call(main.command(), ["ls", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert entries
    for entry in entries:
        assert entry["what"]
        assert sum(line.startswith(f"{entry['name']} ") for line in lines) == 1


def test_an_encoder_without_weights_says_so(load_plugin: Load) -> None:
    """As plug-ins may be: what is printed of one begins with its weights."""
    for file in FILES:
        load_plugin(file)
    for entry in catalogue("encoders")["encoders"]:
        assert not entry["what"].startswith(";")
        if entry["name"] == "random-projection":
            assert entry["what"].startswith("no weights; resizings: ")


PLAIN = """
from dataclasses import dataclass
from lycoris_bench.adapters.algorithms.lora import LoRA

class PlainOptions(LoRA):
    marks = ("plain",)

    @dataclass(frozen=True, kw_only=True)
    class Options:
        start: float = 0.0
        turns: int = 3
        way: str = "up"
        both: bool = False
        bound: float | None = None
"""


def test_an_option_without_a_range_may_be_anything_of_its_type(
    load_plugin: Load, tmp_path: Path
) -> None:
    (tmp_path / "plain_options.py").write_text(PLAIN)
    load_plugin(tmp_path / "plain_options.py")
    kind = ALGORITHMS.get("plain-options")
    kind.check(start=-2, turns=10**6, way="down", both=True, bound=0.5)
    with pytest.raises(BenchError) as said:
        kind.check(start="a", turns=1.5, way=1, both=0)
    assert str(said.value) == (
        "start is 'a'; a number is allowed; turns is 1.5; a whole number is allowed; "
        "way is 1; a text is allowed; both is 0; true or false is allowed"
    )
    for wrong in ({"start": float("nan")}, {"turns": True}):
        with pytest.raises(BenchError, match="is allowed"):
            kind.check(**wrong)
    assert main.call(main.command(), ["ls", "adapters"]) == 0


def test_an_option_without_a_default_is_named(load_plugin: Load, tmp_path: Path) -> None:
    (tmp_path / "plain_options.py").write_text(PLAIN.replace("start: float = 0.0", "start: float"))
    load_plugin(tmp_path / "plain_options.py")
    with pytest.raises(BenchError, match="option 'start' of PlainOptions.Options has no plain"):
        ALGORITHMS.get("plain-options").check()
