"""The command line: exit statuses, streams, and sentences instead of tracebacks."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from lycoris_bench.cli import main, session
from lycoris_bench.planning.plan import plan
from lycoris_bench.run import executor, local_workers
from lycoris_bench.run.outcome import Progress
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import load
from tests.support.world import HERE, STAGES, table

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_base: str) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "tiny.toml", base_model=quick_base)


def write(path: Path, **changes: object) -> Path:
    path.write_text(tomli_w.dumps(table(**changes)))
    return path


def call(*arguments: object) -> int:
    return main.call(main.command(), [str(argument) for argument in arguments])


def test_validate_says_what_it_found(study: Path, capsys: Captured) -> None:
    assert call("validate", study) == 0
    assert (
        "tiny is valid: 2 configurations, 4 checkpoints, 14 training images"
        in capsys.readouterr().out
    )
    assert call("validate", study, "--json") == 0
    assert json.loads(capsys.readouterr().out)["configurations"] == ["lora", "lokr"]


def test_every_mistake_is_listed_and_the_status_is_2(study: Path, capsys: Captured) -> None:
    write(study, seedz=[1], epochs=[0])
    assert call("validate", study) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.splitlines()[0] == "2 mistakes in tiny.toml:"
    assert "did you mean 'seeds'?" in said.err and "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian", "x.toml"], "No such command 'trian'"),
        (["train"], "Missing argument"),
        (["train", "none.toml"], "there is no such study file"),
        (["train", "tiny.toml", "--devise", "cpu"], "--devise"),
        (["train", "tiny.toml", "--device", "gpu"], "unknown device 'gpu'; allowed are"),
        (["plan", "tiny.toml", "--set", "epochs=[0]"], "'epochs.0' is 0"),
        (["plan", "tiny.toml", "--set", "dataset=nowhere"], "there is no such folder"),
        (["plan", "tiny.toml", "--set", "prompts=nowhere"], "no alter.txt for toys/bunny"),
        (["plan", "tiny.toml", "--set", "base_model=nowhere"], "nowhere' does not exist"),
        (["plan", "tiny.toml", "--set", "concepts=['toys/buny']"], "did you mean 'toys/bunny'?"),
        (["train", "tiny.toml", "--limit", "0"], "--limit"),
        (["train", "tiny.toml", "--run", "tiny.toml/run"], "cannot be written"),
    ],
)
def test_usage_errors_are_one_sentence_and_status_2(
    study: Path, capsys: Captured, arguments: list[str], said: str
) -> None:
    assert call(*arguments) == 2
    output = capsys.readouterr()
    assert said in output.err.replace("\n", " ")
    assert not output.out and "Traceback" not in output.err


def test_thousands_of_mistakes_are_counted(study: Path, capsys: Captured) -> None:
    vary = [{"dim": -k} for k in range(1, 3001)]
    write(study, algorithms={"lora": {"lr": 1e-3, "vary": vary}})
    assert call("validate", study) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "3000 mistakes in tiny.toml:" and len(lines) == 42
    assert "dim is -40;" in lines[40] and lines[41] == "  - and 2,960 more"


def test_debug_gives_the_traceback(study: Path) -> None:
    with pytest.raises(ValueError, match="no such study file"):
        call("plan", "none.toml", "--debug")


def test_dry_run_and_plan_do_nothing(study: Path, capsys: Captured) -> None:
    rate = ("--rate", "2,4", "--device", "cpu")
    assert call("train", study, "--dry-run", *rate) == 0
    assert call("plan", study, "--json", *rate) == 0
    said = capsys.readouterr().out
    asked = json.loads(said[said.index("{") :])
    assert (asked["checkpoints"], asked["checkpoints_there"]) == (4, 0)
    assert asked["images"] == 5 * 2 * 4 * 2  # checkpoints and base, concepts, types, images
    left = asked["seconds_left"]
    assert (left["train"], left["generate"]) == (asked["steps_left"] / 2, asked["images"] / 4)
    assert asked["disk_bytes"] > 0
    assert not (study.parent / "runs").exists()


def test_a_stage_out_of_order_is_status_1_and_says_what_to_type(
    study: Path, capsys: Captured
) -> None:
    write(study, concepts=["toys/bunny"], sampling={"prompt_types": ["trigger"], "steps": 1})
    assert call("generate", study, "--limit", 1, "--workers", 1) == 1
    said = capsys.readouterr()
    assert "lora/seed-23/epoch-001: is not trained yet; run 'lycoris-bench train'" in said.err
    assert "generate: 1 done, 0 already there, 1 failed" in said.out  # base was drawn
    assert call("score", study, "--limit", 1, "--workers", 1) == 1
    assert (
        "images are missing, damaged or of other settings; run 'lycoris-bench generate'"
        in capsys.readouterr().err
    )


def test_analysis_without_scores_is_status_1(study: Path, capsys: Captured) -> None:
    assert call("analyze", study) == 1
    assert "run 'lycoris-bench score'" in capsys.readouterr().err


def test_limit_and_ls(study: Path, capsys: Captured) -> None:
    assert call("train", study, "--limit", 1, "--workers", 1) == 0
    capsys.readouterr()
    assert call("ls", study, "--json") == 0
    listed = json.loads(capsys.readouterr().out)["checkpoints"]
    assert [row["status"] for row in listed] == [
        "given",
        "trained",
        "missing",
        "missing",
        "missing",
    ]
    assert call("ls", study, "--set", "training.weight_decay=0.2") == 0
    assert "stale" in capsys.readouterr().out


def test_a_run_of_another_study_is_refused(study: Path, capsys: Captured) -> None:
    Store(study.parent / "runs/tiny").describe('name = "other"\n', {})
    assert call("train", study) == 2
    assert "belongs to the study 'other', not to 'tiny'" in capsys.readouterr().err


def test_a_run_in_use_is_refused(study: Path, capsys: Captured) -> None:
    with Store(study.parent / "runs/tiny").lock():
        (study.parent / "runs/tiny/study.toml").write_text('name = "tiny"')
        for command, what in (("train", study), ("analyze", study.parent / "runs/tiny")):
            assert call(command, what) == 2
            assert f"in use by process {os.getpid()}" in capsys.readouterr().err


@pytest.fixture
def _ctrl_c_works() -> Iterator[None]:
    """SIGINT as in a terminal: a background job of a script inherits that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.study
@pytest.mark.usefixtures("_ctrl_c_works")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_stopped_run_continues_to_the_same_weights(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, quick_base: str
) -> None:
    """Ctrl-C on a run in this process, SIGTERM on one of two workers, then the same again.

    The workers are forks, which have imported torch: test_runtime.py stops spawned ones."""
    write(
        study, base_model=quick_base, concepts=["toys/bunny"],
        training={"images_per_class": 8}, epochs=[1, 2, 3],
    )  # fmt: skip
    run = Store(study.parent / "runs/tiny")
    fork, here, advance = multiprocessing.get_context("fork"), os.getpid(), executor.advance

    def stay(steps: int) -> None:
        advance(steps)
        if os.getpid() != here and list(run.root.rglob("epoch-002.json")):
            threading.Event().wait()  # a worker is not done before the signal comes

    monkeypatch.setattr(local_workers.multiprocessing, "get_context", lambda *_: fork)
    monkeypatch.setattr(executor, "advance", stay)
    monkeypatch.setattr(local_workers, "GRACE", 600.0)  # however slow this machine is
    for workers, number, status in ((1, signal.SIGINT, 130), (2, signal.SIGTERM, 143)):
        with monkeypatch.context() as patch:  # first at epoch 1, then at epoch 2
            patch.setattr(session, "shown", lambda n=number, e=workers: sending(n, run.root, e))
            assert call("train", study, "--workers", workers) == status
        said = capsys.readouterr().err
        assert said.strip().splitlines()[-1] == (
            "interrupted; what is done is kept. "
            f"To continue, type: lycoris-bench train {study} --workers {workers}"
        )
        assert "Traceback" not in said
        assert not multiprocessing.active_children()
        assert not list(run.root.rglob("*.part"))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    asked = plan(load(study))
    with run.lock():
        assert STAGES["train"](asked, run, HERE).failed == {}
    whole = Store(study.parent / "whole")
    STAGES["train"](asked, whole, HERE)
    for checkpoint in asked.checkpoints[1:]:
        mine, theirs = run.checkpoint(checkpoint), whole.checkpoint(checkpoint)
        assert mine.read_bytes() == theirs.read_bytes()


@contextlib.contextmanager
def sending(number: int, run: Path, epoch: int) -> Iterator[Progress]:
    """Sends this process a signal at the first step after a checkpoint of that epoch is stored."""
    left = [number]

    def progress(what: str, steps: int, total: int) -> None:
        if left and list(run.rglob(f"epoch-{epoch:03d}.json")):
            os.kill(os.getpid(), left.pop())

    yield progress


def test_shell_completion(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("_LYCORIS_BENCH_COMPLETE", "complete_bash")
    for words, expected in (
        ("lycoris-bench tra", ["train"]),
        ("lycoris-bench adapter in", ["inspect"]),
        ("lycoris-bench adapter convert --to co", ["comfyui", "compvis"]),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        with pytest.raises(SystemExit):
            call()
        assert sorted(capsys.readouterr().out.split()) == expected
