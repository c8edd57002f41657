"""What a worker on another machine is sent and sends, without a cluster."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import bundles, executor, mirror, ray_worker
from lycoris_bench.run import cluster as module
from lycoris_bench.run.bundles import Bundles
from lycoris_bench.run.cluster import About, Cluster, cluster_of
from lycoris_bench.run.executor import Item, Queue
from lycoris_bench.run.mirror import PACKAGE, Mirror
from lycoris_bench.run.ray_cause import cause
from lycoris_bench.run.ray_worker import File, Over, RayWorker, Steps
from lycoris_bench.run.store import Store


class Reference:
    def __init__(self, value: Any) -> None:
        self.value = value


RAY = SimpleNamespace(ObjectRef=Reference, put=Reference, get=lambda reference: reference.value)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RayWorker]:
    monkeypatch.setattr(ray_worker, "library", lambda: RAY)
    made = RayWorker("cpu", PACKAGE, {})
    yield made
    made.close()
    executor.follow(lambda _: None)
    assert not made.mirror.root.exists()


def work(store: Store, device: str) -> str:
    """Reads one file, writes three, one of them twice, and removes one and what it read."""
    text = (store.root / "given").read_text()
    for name, content in (("a", "1"), ("b", "2"), ("passing", "3"), ("a", text)):
        store.write(store.root / name, content)
    (store.root / "passing").unlink()
    (store.root / "given").unlink()
    executor.advance(3)
    return f"{text} on {device}"


@pytest.mark.parametrize("streams", [False, True])
def test_what_an_item_wrote_comes_in_order_and_what_it_removed_goes(
    worker: RayWorker, tmp_path: Path, streams: bool
) -> None:
    store = Store(tmp_path / "run")
    store.write(store.root / "given", "text")
    sent = Bundles(RAY)
    item = Item("x", work, (sent.argument(store),), reads=(store.root / "given",), unit=2.0,
                streams=streams)  # fmt: skip
    references = [bundle.reference for bundle in sent.own(item.reads)]
    messages = list(worker.run(item, references, False))
    assert messages[-1] == Over("text on cpu", None, False)
    assert sum(m.count for m in messages if isinstance(m, Steps)) == 6
    files = [(m.path.name, m.data) for m in messages if isinstance(m, File)]
    last = {name: data for name, data in files if data is not None}
    assert {**last, "passing": None} == {"a": b"text", "b": b"2", "passing": None}
    names = [name for name, data in files if data is not None]
    assert names[-1] == "a" and "b" in names[:-1]  # where each was last written
    assert [n for n, d in files if d is None] == ["given", "passing"]
    assert (store.root / "given").exists()  # the driver removes it, not the worker
    assert not list(mirror.files([worker.mirror.root]))


def fail(kind: type[Exception], device: str) -> None:
    raise kind("no rank")


@pytest.mark.parametrize(
    ("kind", "elsewhere"), [(BenchError, False), (OSError, True), (MemoryError, True)]
)
def test_an_error_says_whether_another_machine_may_do_better(
    worker: RayWorker, kind: type[Exception], elsewhere: bool
) -> None:
    *_, over = worker.run(Item("x", fail, (kind,)), [], False)
    assert isinstance(over, Over) and over.elsewhere == elsewhere
    assert over.error and over.error.endswith("no rank")


def test_files_lie_under_their_path_and_what_is_shipped_in_its_package(tmp_path: Path) -> None:
    there = Mirror(Path("/opt/other/lycoris_bench"), tmp_path)
    assert there.place(Path("/data/x/1.png")) == tmp_path / "data/x/1.png"
    assert there.origin(tmp_path / "data/x/1.png") == Path("/data/x/1.png")
    assert there.place(Path("/opt/other/lycoris_bench/share/a")) == PACKAGE / "share/a"
    assert there.origin(PACKAGE) is None
    assert not list(mirror.files([PACKAGE / "miniature"]))


def test_a_mirror_of_a_killed_process_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror.tempfile, "tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    dead, other = tmp_path / f"{mirror.PREFIX}{child}-x", tmp_path / "other"
    alive = tmp_path / f"{mirror.PREFIX}{os.getppid()}-x"
    for folder in (dead, alive, other):
        folder.mkdir()
    Mirror(PACKAGE).close()
    assert not dead.exists() and alive.exists() and other.exists()


def test_shared_files_are_put_once_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "MOST_BYTES", 4)
    sent, folder = Bundles(RAY), tmp_path / "base"
    for name in "abc":
        disk.write(folder / name, name * 2)
    first = sent.shared((folder,))
    assert [sorted(p.name for p in b.stamps) for b in first] == [["a", "b"], ["c"]]
    assert sent.shared((folder,)) == first
    disk.write(folder / "c", "cccc")
    assert sent.shared((folder,)) == first  # until the driver writes there
    sent.changed(folder / "c")
    again = sent.shared((folder,))
    assert again[0] is first[0] and again[1].reference.value == [(folder / "c", b"cccc")]
    assert sent.own((folder / "a", folder / "missing"))[0].reference.value[0][1] == b"aa"


def test_what_waits_for_a_part_of_an_item_begins_with_it_or_fails_with_it(tmp_path: Path) -> None:
    def rest(item: Item, done: Any) -> Item:
        return replace(item, arguments=tuple(a for a in item.arguments if a not in done))

    training = Item("t", fail, ("1", "2"), marks={tmp_path / "1": "1", tmp_path / "2": "2"},
                    rest=rest)  # fmt: skip
    drawn = [Item(f"d{k}", fail, (), frozenset([k])) for k in "12"]
    queue = Queue([training, *drawn])
    assert queue.next() is training and queue.next() is None
    queue.done.add("1")
    assert queue.startable() == 1 and queue.next() is drawn[0]
    queue.again(training)
    assert (begun := queue.next()) and begun.arguments == ("2",)
    failed = list(queue.over(("t", None, "no")))
    assert failed == [("t", None, "no"), ("d2", None, "not begun, as t failed")]


def test_a_machine_with_another_version_says_so() -> None:
    here = About("head", "0.5.0", "aa")
    assert here.unlike(About("head", "0.5.0", "aa", "node")) is None
    older = About("gpu7", "0.4.0", "bb").unlike(here)
    assert older == (
        "gpu7 has lycoris-bench 0.4.0, here it is 0.5.0; install the same on each machine"
    )
    assert "0.5.0 with other source than here" in str(About("gpu7", "0.5.0", "bb").unlike(here))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9", r"no cluster can be used at the address '127.0.0.1:9' \(.*refused\)"),
        ("ray://127.0.0.1:10001", "allowed are: auto, or HOST:PORT"),
        ("head", "the address is 'head'; allowed are: auto"),
        ("127.0.0.1:99999999", "no cluster can be used at the address"),
    ],
)
def test_an_address_where_nothing_answers_is_said_at_once(address: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        Cluster(address)._look()


def test_why_a_worker_could_not_start_is_one_readable_line() -> None:
    """As Ray says it: colours, an address, a traceback, and the cause at its end."""
    said = (
        "The actor died because of an error raised in its creation task, \x1b[36mray::RayWorker."
        "__init__()\x1b[39m (pid=65, ip=10.0.0.2, actor_id=17, repr=<lycoris_bench.run>)\n"
        '  File "lycoris_bench/run/ray_worker.py", line 3, in <module>\n'
        "ModuleNotFoundError: No module named 'lycoris_bench'\n"
    )
    assert cause(RuntimeError(said)) == (
        "ModuleNotFoundError: No module named 'lycoris_bench' (on 10.0.0.2); each machine needs "
        "the same lycoris-bench, installed where 'ray' is"
    )
    assert cause(RuntimeError("\n The actor died.\nand more")) == "The actor died."
    assert cause(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize("name", ["CPU", "memory", ""])
def test_what_every_machine_has_is_nothing_to_require(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"CPU": 8.0, "memory": 1e9, "object_store_memory": 1e9, "node:10.0.0.2": 1.0,
             "fast": 1.0, "accelerator_type:H100": 2.0}  # fmt: skip
    ray = SimpleNamespace(is_initialized=lambda: True, cluster_resources=lambda: there)
    monkeypatch.setattr(module, "library", lambda: ray)
    with pytest.raises(BenchError, match=f"^no machine of the cluster has '{name}'; they have: "
                                         "H100, fast$"):  # fmt: skip
        Cluster("auto", name).connect()
    for kind, needs in (("H100", "accelerator_type:H100"), ("fast", "fast")):
        Cluster("auto", kind).connect()
        assert Cluster("auto", kind).needs("cpu") == {"CPU": 1.0, needs: 0.001}
        assert Cluster("auto", kind).room("cpu") == 8


def test_a_machine_of_no_cluster_is_said_without_the_librarys_advice() -> None:
    said = Cluster("auto")._unreachable(ConnectionError("Specify `RAY_ADDRESS`"))
    assert said == (
        "no cluster can be used at the address 'auto' (this machine belongs to none that is "
        "running); start one with 'ray start --head', or leave out --address to use this machine"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no Ray cluster; the address is the one that"),
        (b"", "is no Ray cluster"),
        (None, r"no cluster can be used .*timed out"),  # it waits, and says nothing
        (b"\0\0\x0c\x04\0\0\0\0\0", None),  # settings of HTTP/2, as Ray's
    ],
)
def test_what_answers_has_to_be_a_cluster(
    answer: bytes | None, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself would wait without end for what listens and is none."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            there, _ = server.accept()
            with there:
                there.recv(100)
                if answer is None:
                    over.wait(10)
                else:
                    there.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        cluster = Cluster(f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(BenchError, match=said) if said else contextlib.nullcontext():
            cluster._look()
        over.set()


def test_a_cluster_that_answers_and_lets_nobody_in_may_ask_for_a_token() -> None:
    refused = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    assert "RAY_AUTH_MODE=token" in Cluster("10.0.0.1:6379")._unreachable(refused, answers=True)
    assert "RAY_AUTH_MODE" not in Cluster("10.0.0.1:6379")._unreachable(refused)


def test_what_a_cluster_needs_is_refused_without_one() -> None:
    assert cluster_of("local", None, None) is None
    with pytest.raises(BenchError, match="unknown launcher 'slurm'"):
        cluster_of("slurm", None, None)
    with pytest.raises(BenchError, match="an address is given .* add --launcher ray"):
        cluster_of("local", "auto", None)
