"""`watch`, with a trainer whose every step is scripted: nothing depends on time."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lycoris_bench.cli import watch
from lycoris_bench.cli.exits import call
from lycoris_bench.cli.main import command
from lycoris_bench.study.places import locate
from tests.support.trainers import ours

BUNNY = locate("package:miniature/dataset/toys/bunny", Path())
Steps = list[Callable[[], object]]

pytestmark = pytest.mark.filterwarnings("ignore")


def interrupt() -> None:
    raise KeyboardInterrupt


def scripted(patch: pytest.MonkeyPatch, steps: Steps) -> None:
    """Each time that `watch` waits, the next step is done."""
    left = iter(steps)
    clock = SimpleNamespace(sleep=lambda _: next(left)(), monotonic=lambda: 0.0)
    patch.setattr(watch, "time", clock)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    ours(folder / "one.safetensors", 1)
    ours(folder / "other.safetensors", 2, 0.1)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_folder_has_news_when_a_file_is_new_or_replaced(
    trained: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = trained / "one.safetensors", trained / "other.safetensors"
    content = other.read_bytes()
    cat, dog = out / "cat.safetensors", out / "dog.safetensors"
    shutil.copy2(one, dog)

    def replace() -> None:
        """Another of the same size and time, as a copy with its times may be."""
        shutil.copy2(other, out / "new")
        stat = dog.stat()
        os.utime(out / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        (out / "new").replace(dog)

    seen: list[object] = []
    steps: Steps = [
        lambda: seen.append("nothing"),
        lambda: cat.write_bytes(content[:-9]),
        lambda: seen.append("half"),
        lambda: cat.write_bytes(content),
        replace,
        lambda: dog.write_bytes(content[:-9]),
        lambda: seen.append("half"),
        lambda: dog.write_bytes(content),
        cat.unlink,
        lambda: seen.append("gone"),
        interrupt,
    ]
    scripted(monkeypatch, steps)
    looks: Iterator[list[str]] = watch.arriving(out, 1.0, None)
    with pytest.raises(KeyboardInterrupt):
        for found in looks:
            seen.append({Path(path).stem for path in found})
    both = {"cat", "dog"}
    assert seen == [{"dog"}, "nothing", "half", both, both, "half", both, "gone"]


def test_it_ends_when_nothing_new_came(
    trained: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy2(trained / "one.safetensors", out)
    times = iter([0.0, 5.0, 6.0, 9.0, 15.0])  # the start, the news, and three looks
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: next(times))
    monkeypatch.setattr(watch, "time", clock)
    assert len([*watch.arriving(out, 2.0, 10.0)]) == 1
    assert slept == [2.0, 2.0]


@pytest.mark.parametrize(("gaining", "told"), [(None, False), ([], False), (["dog"], True)])
def test_a_line_for_what_is_new_or_has_another_content(
    gaining: list[str] | None, told: bool
) -> None:
    keys = [("dog", 5, 1.0), ("dog", 10, 1.0)]
    rows = [
        {"checkpoint": f"dog epoch {moment}", "configuration": name, "moment": moment,
         "strength": strength, "fidelity": {"value": 0.5}}
        for name, moment, strength in keys
    ]  # fmt: skip
    found = {"checkpoints": rows, "best": {"fidelity": ["dog epoch 5"]}, "gaining": gaining}
    said = watch.Said()
    first, second, best = said.news(found, dict.fromkeys(keys, "a"))
    assert (first, second) == ("dog epoch 5: fidelity 0.500", "dog epoch 10: fidelity 0.500")
    assert ("none is told from the base model in fidelity" in best) != told
    assert [*said.news(found, dict.fromkeys(keys, "a"))] == []
    line, _ = said.news(found, {keys[0]: "a", keys[1]: "b"})
    assert line == "dog epoch 10: replaced, and evaluated anew: fidelity 0.500"


def test_failures_are_said_once_and_the_latest_count() -> None:
    said = watch.Said()
    assert [*said.failed({"a": "is cut"})] == ["a: is cut"]
    assert [*said.failed({"a": "is cut"})] == [] and said.failing == {"a": "is cut"}
    assert [*said.failed({})] == [] and said.failing == {}


@pytest.mark.study
def test_as_a_user_types_it(
    trained: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """What is no adapter comes first; a checkpoint; the same replaced; half of a third; Ctrl-C."""
    shutil.copytree(BUNNY, tmp_path / "toys", ignore=shutil.ignore_patterns("*.txt"))
    half = (trained / "one.safetensors").read_bytes()[:-100]
    (out / "odd.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    dog = out / "dog-000005.safetensors"
    steps: Steps = [
        lambda: shutil.copy2(trained / "one.safetensors", dog),
        lambda: shutil.copy2(trained / "other.safetensors", dog),
        lambda: (out / "dog-000010.safetensors").write_bytes(half),
        interrupt,
    ]
    scripted(monkeypatch, steps)
    monkeypatch.chdir(tmp_path)
    typed = [
        "watch", "out", "--base", "package:miniature/weights/base", "--images", "toys",
        "--class-word", "toy", "--set", "sampling.steps=1", "--set", "sampling.width=32",
        "--set", "sampling.height=32", "--count", "2", "--workers", "1", "--device", "cpu",
        "--set", 'sampling.prompt_types=["alter"]', "--run", "run",
    ]  # fmt: skip
    assert call(command(), typed) == 130
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if line.startswith("out-dog")]
    assert len(lines) == 2 and lines[0].startswith("out-dog epoch 5: ")
    assert lines[1].startswith("out-dog epoch 5: replaced, and evaluated anew: ")
    first, second = (line.rpartition("anew: ")[2].removeprefix("out-dog epoch 5: ")
                     for line in lines)  # fmt: skip
    assert first != second  # the numbers are of the new content
    assert said.err.count("odd.safetensors") == 1
    assert f"{out / 'dog-000010.safetensors'} never became whole" in said.err
