"""Work on a Ray cluster of two nodes: what is sent and comes back, and what becomes of the work of
what is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import executor, ray_worker, ray_workers
from lycoris_bench.run.cluster import Cluster
from lycoris_bench.run.executor import Item
from lycoris_bench.run.signals import terminable
from lycoris_bench.run.store import Store
from tests.support.ray_nodes import nodes

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def two() -> Iterator[Any]:
    with nodes(2) as cluster:
        yield cluster


def test_a_cluster_of_this_machine_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """A token that Ray leaves there is asked for by every later cluster, of others too."""
    command = "from lycoris_bench.run.cluster import Cluster; Cluster().connect()"
    unset = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    subprocess.run(
        [sys.executable, "-c", command], env={**unset, "HOME": str(tmp_path)}, check=True,
        timeout=300, capture_output=True,
    )  # fmt: skip
    assert not (tmp_path / ".ray" / "auth_token").exists()


def results(cluster: Any, *items: Item, **options: Any) -> tuple[dict[str, Any], Cluster]:
    """Name -> result or sentence of the error, and what is noted of the machines."""
    used = cluster if isinstance(cluster, Cluster) else Cluster(cluster.address)
    each = executor.each(
        items, workers=0, total=len(items), what="work", devices=["cpu"], cluster=used, **options
    )
    return {name: error or made for name, made, error in each}, used


def add(store: Store, name: str, device: str) -> int:
    """Reads two numbers, writes their sum, removes one of them, and leaves out what it removes."""
    assert device == "cpu"
    numbers = [int((store.root / side).read_text()) for side in (f"{name}.left", "right")]
    store.write(store.root / f"{name}.sum", str(sum(numbers)))
    store.write(store.root / f"{name}.passing", "gone before the end").unlink()
    (store.root / f"{name}.left").unlink()
    executor.advance()
    return sum(numbers)


def test_files_travel_both_ways_and_nothing_else_is_shared(two: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    store.write(store.root / "right", "10")
    items = []
    for k in range(4):
        own = store.write(store.root / f"{k}.left", str(k))
        items.append(
            Item(str(k), add, (store, str(k)), reads=(own,), shares=(store.root / "right",))
        )
    told: list[float] = []
    found, _ = results(two, *items, progress=lambda _, steps, total: told.append(steps))
    assert found == {str(k): k + 10 for k in range(4)} and sum(told) == 4
    assert {p.name: p.read_text() for p in store.root.iterdir()} == {
        "right": "10", **{f"{k}.sum": str(k + 10) for k in range(4)}
    }  # fmt: skip


LARGE, MANY = 4_000_000, 30  # bytes of a file, and files of an item


def write_many(store: Store, there: str, device: str) -> int:
    """Writes large files; returns by how many it ever was ahead of the run folder, which a real
    worker does not see."""
    ahead = 0
    for k in range(MANY):
        store.write(store.root / f"{k}.bin", bytes(LARGE))
        ahead = max(ahead, k + 1 - len(list(Path(there).glob("*.bin"))))
    return ahead


def own_memory() -> int:
    """Bytes of memory of this process alone, without what it shares with Ray's store."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def test_a_worker_waits_for_a_slow_driver_which_holds_a_bounded_part_of_its_files(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, held = Store(tmp_path / "run"), []
    stored = ray_workers.RayWorkers._store

    def slowly(self: Any, seat: Any, file: Any) -> None:
        stored(self, seat, file)
        time.sleep(0.03)
        held.append(own_memory())

    monkeypatch.setattr(ray_workers.RayWorkers, "_store", slowly)
    item = Item("many", write_many, (store, str(store.root)), streams=True)
    found, _ = results(two, item)
    # waiting in the worker, on the way, and one at either end; each is behind a sign of life
    most = ray_worker.WAITING + ray_workers.AHEAD + 4
    assert 2 <= found["many"] <= most < MANY / 2
    assert all((store.root / f"{k}.bin").stat().st_size == LARGE for k in range(MANY))
    assert max(held) - held[0] < (most + 2) * LARGE < MANY * LARGE / 2


def test_a_command_on_a_cluster_ends_at_sigterm_as_any_other(two: Any) -> None:
    """Ray's own handler would exit with status 15, and without a sentence."""
    import ray

    ray.shutdown()
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a node in this process sets one
    try:
        with terminable():
            ours = signal.getsignal(signal.SIGTERM)
            Cluster(two.address).connect()
            assert signal.getsignal(signal.SIGTERM) is ours is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def once(place: Path, what: Callable[[], Any]) -> str:
    """Does something the first time that it is called, in whichever process."""
    try:
        place.touch(exist_ok=False)
    except FileExistsError:
        return "the second time"
    what()
    return "the first time"


def die(place: Path, device: str) -> str:
    return once(place, lambda: os.kill(os.getpid(), signal.SIGKILL))


def hang(place: Path, device: str) -> str:
    return once(place, lambda: os.kill(os.getpid(), signal.SIGSTOP))


def fail_here(place: Path, device: str) -> str:
    def full() -> None:
        raise OSError(28, "No space left on device", "/scratch/x")

    return once(place, full)


def test_what_a_lost_worker_had_in_its_hands_is_done_again(two: Any, tmp_path: Path) -> None:
    found, used = results(two, Item("a", die, (tmp_path / "a",)), Item("b", work, (1,)))
    assert found == {"a": "the second time", "b": 1}
    (note,) = used.notes
    assert "was lost while it ran a" in note and "it began again" in note


def test_a_worker_that_gives_no_sign_of_life_is_lost(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "SILENCE", 8.0)
    found, used = results(two, Item("a", hang, (tmp_path / "a",)))
    assert found == {"a": "the second time"}
    assert "it gave no sign of life for" in used.notes[0]


def test_what_a_machine_cannot_do_is_tried_on_another(two: Any, tmp_path: Path) -> None:
    found, used = results(two, Item("a", fail_here, (tmp_path / "a",)))
    assert found == {"a": "the second time"}
    (note,) = used.notes
    assert all(
        said in note for said in ("could not do a: ", "o space left on device", "began again")
    )


def work(number: int, device: str) -> int:
    return number


def always_die(device: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(device: str) -> None:
    raise BenchError("rank is 0;\n1 or more is allowed")


def test_errors_are_sentences_and_the_rest_goes_on(two: Any) -> None:
    found, _ = results(
        two, Item("a", always_die, ()), Item("b", refuse, ()), Item("c", work, (3,)),
        Item("d", work, (4,), after=frozenset("b")),
    )  # fmt: skip
    assert "so it was 3 times; run again to continue" in found["a"]
    assert found["b"] == "rank is 0; 1 or more is allowed"
    assert found["c"] == 3 and found["d"] == "not begun, as b failed"
