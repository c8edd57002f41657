"""Worker processes: failures are named, the rest goes on, and none outlives its parent."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lycoris_bench
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import environment, executor, local_workers
from lycoris_bench.run.executor import Item
from lycoris_bench.run.signals import Terminated, terminable
from tests.run.work import (
    die,
    die_once,
    die_when_met,
    fill,
    halve,
    interrupt_myself,
    leave,
    meet,
    meet_a_death,
    note,
    refuse,
    refuse_to_leave,
)  # fmt: skip


def test_a_full_gpu_is_a_sentence_with_advice_and_the_next_item_finds_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    emptied: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    results = list(executor.each(each_of(fill), workers=1, total=3, what="fill"))
    assert [made for _, made, _ in results] == [2, None, 8] and emptied == [1]
    assert results[1][2] == (
        "the GPU's memory does not suffice; lower 'batch_size' of training, sampling or scoring, "
        "or set training.gradient_checkpointing (CUDA out of memory. Tried to allocate 9 GiB.)"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_that_cannot_be_pickled_is_a_sentence_too(workers: int) -> None:
    results = executor.each(each_of(refuse), workers=workers, total=3, what="refuse")
    assert sorted(error or "" for _, _, error in results) == [f"data: ['{n}']" for n in (2, 3, 8)]


def each_of(work: Callable[[int], Any]) -> list[Item]:
    return [Item(f"item {n}", work, (n,)) for n in (2, 3, 8)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_is_named_and_the_rest_goes_on(workers: int) -> None:
    steps: list[tuple[str, int, int]] = []
    results = executor.each(
        each_of(halve), workers=workers, total=3, what="halve", progress=lambda *s: steps.append(s)
    )
    assert sorted(results, key=str) == [
        ("item 2", 1, None),
        ("item 3", None, "3 is odd; an even number is needed"),
        ("item 8", 4, None),
    ]
    assert sum(step for _, step, _ in steps) == 3
    assert {(what, total) for what, _, total in steps} == {("halve", 3)}


def test_each_worker_has_a_device_of_its_own(tmp_path: Path) -> None:
    """Three processes on two GPUs: the third shares the first one's."""
    gpus = ["cuda:0", "cuda:1"]
    items = [Item(str(k), meet, (tmp_path, 3)) for k in range(3)]
    results = executor.each(items, workers=3, total=3, what="meet", devices=gpus)
    found = [told for _, told, _ in results]
    assert len({process for process, _ in found}) == 3
    assert sorted(device for _, device in found) == ["cuda:0", "cuda:0", "cuda:1"]
    alone = executor.each(items[:1], workers=3, total=1, what="meet", devices=gpus)
    assert [told for _, told, _ in alone] == [(os.getpid(), "cuda:0")]


@pytest.mark.filterwarnings("ignore:a worker process died")
def test_a_worker_that_dies_is_a_sentence() -> None:
    results = list(executor.each(each_of(die), workers=2, total=3, what="die"))
    assert len(results) == 3
    assert all("worker process died twice" in str(error) for _, _, error in results)


def noted(place: Path, *named: tuple[str, float, set[str]]) -> list[Item]:
    return [Item(name, note, (place, name), frozenset(after), turn) for name, turn, after in named]


def test_items_begin_after_those_they_need_and_by_their_turn(tmp_path: Path) -> None:
    items = noted(tmp_path, ("long", 2, set()), ("last", 0, {"long", "first"}), ("first", 1, set()))
    list(executor.each(items, workers=1, total=3, what="note"))
    assert (tmp_path / "order").read_text().split() == ["first", "long", "last"]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_waits_for_a_failed_item_is_named_and_the_rest_goes_on(
    tmp_path: Path, workers: int
) -> None:
    items = noted(
        tmp_path, ("good", 0, set()), ("bad", 0, set()), ("next", 1, {"bad"}),
        ("then", 1, {"next", "good"}), ("both", 1, {"bad", "next"}), ("free", 2, {"good"}),
    )  # fmt: skip
    results = executor.each(items, workers=workers, total=6, what="note")
    found = {name: error for name, _, error in results}
    assert found == {
        "good": None, "free": None, "bad": "as asked", "next": "not begun, as bad failed",
        "then": "not begun, as next failed", "both": found["both"],
    }  # fmt: skip
    assert found["both"] in ("not begun, as bad failed", "not begun, as next failed")
    assert set((tmp_path / "order").read_text().split()) == {"good", "bad", "free"}


def test_progress_counts_each_item_in_its_own_unit() -> None:
    steps: list[float] = []
    items = [Item(str(n), halve, (n,), unit=float(n)) for n in (2, 4)]
    progress = lambda *told: steps.append(told[1])  # noqa: E731
    list(executor.each(items, workers=1, total=6, what="halve", progress=progress))
    assert steps == [0, 2.0, 4.0]


def test_what_was_at_work_when_a_worker_died_begins_again(tmp_path: Path) -> None:
    """Killed for memory, say: nothing is lost where it has room the second time."""
    items = [Item(str(n), die_once, (tmp_path, n)) for n in range(6)]
    with pytest.warns(UserWarning, match="it begins again, with no other beside it") as said:
        results = list(executor.each(items, workers=2, total=6, what="die"))
    assert any("while 2 was at work" in str(each.message) for each in said)
    assert sorted(results) == [(str(n), n, None) for n in range(6)]


@pytest.mark.filterwarnings("ignore:a worker process died")
def test_who_ends_its_process_each_time_takes_no_other_along(tmp_path: Path) -> None:
    items = [
        Item("0", meet_a_death, (tmp_path,)),
        Item("bad", die_when_met, (tmp_path,)),
        Item("1", meet_a_death, (tmp_path,)),
        Item("after", halve, (2,), frozenset({"bad"}), 1),
    ]
    found = {name: error for name, _, error in executor.each(items, workers=2, total=5, what="die")}
    assert {name for name, error in found.items() if error} == {"bad", "after"}
    assert "died twice" in str(found["bad"]) and found["after"] == "not begun, as bad failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_workers_close_what_they_have_open(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_workers, "GRACE", 600.0)  # however slow this machine is
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises((KeyboardInterrupt, Terminated)), terminable():
            list(stopped_at_work(leave, str(tmp_path), number))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(list(tmp_path.iterdir())) == 2
    assert not multiprocessing.active_children()


def test_a_worker_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_workers, "GRACE", 0.0)
    with pytest.raises(Terminated), terminable():
        list(stopped_at_work(refuse_to_leave, str(tmp_path), signal.SIGTERM))
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


def stopped_at_work(work: Callable[[str], None], folder: str, number: int) -> Iterator[Any]:
    """Two workers; the signal comes when both have begun an item."""
    begun = 0

    def progress(what: str, steps: int, total: int) -> None:
        nonlocal begun
        begun += steps
        if steps and begun == 2:
            os.kill(os.getpid(), number)

    items = [Item(name, work, (folder,)) for name in "abc"]
    return executor.each(items, workers=2, total=3, what="leave", progress=progress)


def test_ctrl_c_is_left_to_the_parent_of_a_worker() -> None:
    results = executor.each(each_of(interrupt_myself), workers=2, total=3, what="go on")
    assert sorted(result for _, result, _ in results) == [2, 3, 8]


def test_a_signal_handler_of_an_application_stays() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with terminable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, threading\n"
        "from lycoris_bench.run import executor\n"
        "def wait(path):\n"
        "    open(path, 'w').write(str(os.getpid()))\n"
        "    threading.Event().wait()\n"  # for ever
        "if __name__ == '__main__':\n"
        f"    place = lambda n: os.path.join({str(tmp_path)!r}, n)\n"
        "    items = [executor.Item(n, wait, (place(n),)) for n in ('a', 'b')]\n"
        "    list(executor.each(items, workers=2, total=2, what='wait'))\n"
    )
    path = {**os.environ, "PYTHONPATH": str(Path(lycoris_bench.__file__).parent.parent)}
    parent = subprocess.Popen([sys.executable, str(script)], env=path)
    deadline = time.monotonic() + 600  # a net for a test that would never end
    files = [tmp_path / name for name in ("a", "b")]
    while not all(f.exists() and f.read_text() for f in files) and time.monotonic() < deadline:
        assert parent.poll() is None
        time.sleep(0.1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    children = [int(f.read_text()) for f in files]
    while any(running(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(running(pid) for pid in children)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_devices() -> None:
    assert environment.device("cpu") == "cpu"
    with pytest.raises(ValueError, match="unknown device 'gpu'; allowed are"):
        environment.device("gpu")


def test_a_gpu_that_is_not_there_is_named_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:3"):
        with pytest.raises(BenchError) as said:
            environment.device(name)
        assert str(said.value) == f"device '{name}': torch finds no GPU; choose the device 'cpu'"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [environment.device(name) for name in ("auto", "cuda:1")] == ["cuda", "cuda:1"]
    for name in ("cuda:2", "cuda:", "cuda:x"):
        with pytest.raises(
            BenchError, match=f"no device '{name}'; torch finds: 'cuda:0', 'cuda:1'"
        ):
            environment.device(name)


def test_sentences() -> None:
    assert executor.sentence(BenchError("a\n  b")) == "a b"
    assert executor.sentence(AttributeError("x")) == "AttributeError: x"
    assert "Traceback" in executor.sentence(_raised(), debug=True)


def _raised() -> Exception:
    try:
        raise ValueError("here")
    except ValueError as error:
        return error


def test_provenance_names_versions_and_hardware() -> None:
    about = environment.provenance(["lycoris-bench", "demo"])
    assert about["command"] == ["lycoris-bench", "demo"]
    assert about["packages"]["torch"]
    assert about["cores"] == os.cpu_count()
