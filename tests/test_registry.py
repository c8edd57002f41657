"""What rooms and plug-ins offer, and what is said of a plug-in that cannot be used."""

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from lycoris_bench import registry
from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.lora import LoRA
from lycoris_bench.cli.exits import call
from lycoris_bench.cli.main import command
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics import METRICS
from tests.support.plugin import Load

COUNT = """
from lycoris_bench.scoring.metrics.base import metric

@metric(better="higher", encoder="image")
def how_many(generated):
    return float(len(generated))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "how_many.py"
    path.write_text(COUNT)
    return path


def test_a_room_offers_what_is_named_like_its_module() -> None:
    assert ALGORITHMS.get("lora") is LoRA
    assert {"diag-oft", "full"} <= ALGORITHMS.entries().keys()
    assert not {"base", "options", "recognise", "norm"} & ALGORITHMS.entries().keys()


def test_a_file_adds_what_is_named_like_it(load_plugin: Load, file: Path) -> None:
    assert "how_many" not in METRICS.entries()
    load_plugin(file)
    assert METRICS.get("how_many")(np.ones((3, 2))) == 3
    assert "how_many" not in ALGORITHMS.entries()
    assert registry.plugin_files() == (str(file),)
    load_plugin(file)  # twice is once
    assert registry.plugin_files() == (str(file),)


@pytest.mark.parametrize("place", ["before", "after"])
def test_every_command_takes_a_plugin(
    load_plugin: Load, file: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option = ["--plugin", str(file)]
    typed = [*option, "ls", "metrics"] if place == "before" else ["ls", "metrics", *option]
    assert call(command(), typed) == 0
    assert "how_many" in capsys.readouterr().out
    assert registry.plugin_files() == (str(file),)
    assert call(command(), ["ls", "metrics", "--plugin", str(file) + "x"]) == 2
    assert "has to end in .py" in capsys.readouterr().err


def test_a_relative_path_is_the_same_file(
    load_plugin: Load, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.setenv(registry.PLUGINS, os.pathsep.join([file.name, str(file)]))
    assert "how_many" in METRICS.entries()
    assert registry.plugin_files() == (str(file),)
    load_plugin(file)
    load_plugin(f"../{file.parent.name}/{file.name}")
    assert registry.plugin_files() == (str(file),)


@pytest.mark.parametrize(
    ("name", "text", "has"),
    [
        ("tally.py", COUNT, ", only 'how_many'; it needs .*metric \\('better'\\)"),
        ("empty.py", "", "; it needs .* adapter \\('Options'\\)"),
        ("plain.py", "def plain(generated): ...", "; .* '@metric' sets"),
    ],
)
def test_a_file_that_offers_nothing_of_its_name_is_refused(
    load_plugin: Load, tmp_path: Path, name: str, text: str, has: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BenchError, match=f"offers nothing named '{name[:-3]}'{has}"):
        load_plugin(tmp_path / name)
    assert registry.plugin_files() == ()


def test_a_dash_in_a_files_name_is_an_underscore(load_plugin: Load, tmp_path: Path) -> None:
    (tmp_path / "how-many.py").write_text(COUNT)
    load_plugin(tmp_path / "how-many.py")
    assert METRICS.get("how_many")(np.ones((3, 2))) == 3


def test_a_process_that_is_started_knows_it_too(load_plugin: Load, file: Path) -> None:
    load_plugin(file)
    code = (
        "from lycoris_bench.scoring.metrics import METRICS; print('how_many' in METRICS.entries())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert told.stdout.strip() == "True"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("broken.py", "import no_such_library", "broken.py fails: .*no_such_library"),
        ("late.py", "1 / 0", "late.py fails: ZeroDivisionError: division by zero$"),
        ("typo.py", "def", "typo.py fails: SyntaxError"),
        ("notes.txt", "", "has to end in .py"),
    ],
)
def test_a_file_that_fails_is_named(
    load_plugin: Load, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BenchError, match=said):
        load_plugin(tmp_path / name)
    assert registry.plugin_files() == ()


def test_a_file_that_is_not_there_is_named(load_plugin: Load, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="other.py is not there"):
        load_plugin(tmp_path / "other.py")


def test_a_name_that_is_taken_is_refused(load_plugin: Load, tmp_path: Path) -> None:
    (tmp_path / "vendi.py").write_text(COUNT.replace("how_many", "vendi"))
    load_plugin(tmp_path / "vendi.py")
    with pytest.raises(BenchError, match="metric 'vendi' of .*vendi.py exists already"):
        METRICS.entries()


def test_two_files_of_one_name_are_refused(load_plugin: Load, file: Path, tmp_path: Path) -> None:
    load_plugin(file)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / file.name).write_text(COUNT)
    with pytest.raises(BenchError, match="have one name; rename one"):
        load_plugin(tmp_path / "b" / file.name)


def test_entry_points_of_other_packages_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each in the way it may be declared: the function, or the module that has it."""
    (tmp_path / "stranger.py").write_text(COUNT.replace("how_many", "tally"))
    monkeypatch.syspath_prepend(tmp_path)
    group = "lycoris_bench.metrics"
    declared = [
        EntryPoint("tally", "stranger", group),
        EntryPoint("count", "stranger:tally", group),
        EntryPoint("gone", "no_such_module", group),
        EntryPoint("path", "os:path", group),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: declared)
    metrics = registry.Registry("metric", METRICS.package, group="metrics", separator="_")
    assert metrics.get("count") is metrics.get("tally")
    assert metrics.get("tally")(np.ones((2, 2))) == 2
    for name in ("gone", "path"):
        with pytest.raises(
            BenchError, match=f"metric '{name}' of the entry point .* cannot be used"
        ):
            metrics.get(name)
    assert "vendi" in metrics.entries()
