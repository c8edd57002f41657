"""benchmarks/gpu.py: a failure stops nothing, and, narrowed on the CPU, its checks hold."""

import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu_checks.context import Check, Context, Log, Skipped, perform


def test_a_failure_is_a_line_and_every_line_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def passes(_):
        yield "one figure"
        yield "another"

    def fails(_):
        yield "before it failed"
        raise ValueError("wrong\nin two lines")

    def skips(context):
        context.needs_cuda()
        yield "never"

    log = Log(tmp_path / "results" / "gpu.txt")
    context = Context("cpu", True, log)
    for name, work in (("fails", fails), ("skips", skips), ("passes", passes)):
        perform(Check(name, 1, work), context)
    printed = capsys.readouterr().out
    assert printed == log.path.read_text()
    told = [line.partition("] ")[2] for line in printed.splitlines()]
    assert told[0] == "fails: before it failed"
    assert told[1].startswith(
        "fails: FAILED: ValueError: wrong in two lines (test_gpu_benchmark.py:"
    )
    assert told[2:5] == ["skips: skipped: needs CUDA", "passes: one figure", "passes: another"]
    assert told[5].startswith("passes: passed in 0.")
    assert log.counts == {"failed": 1, "skipped": 1, "passed": 1}
    with pytest.raises(Skipped):
        context.needs_cuda()


def test_no_check_begins_late(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "LAST_START", -1.0)
    monkeypatch.setattr(
        sys, "argv", ["gpu.py", "--device", "cpu", "--narrow", "--out", str(tmp_path)]
    )
    assert gpu.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(gpu.checks()) + 1
    assert all(line.endswith("left out: no time") for line in lines[:-1])
    assert len({check.name for check in gpu.checks()}) == len(gpu.checks())


@pytest.mark.slow
def test_its_checks_hold_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "machine,8-bit state,repeats,drawing,encoders,scoring from files,merging,limits"
    options = ["--device", "cpu", "--narrow", "--out", str(tmp_path), "--only", names]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    assert gpu.main() == 0
    printed = capsys.readouterr().out
    assert printed.count(": passed in ") == 7 and "limits: skipped: needs CUDA" in printed
    assert "0 tensors differ when repeated and 0 when resumed" in printed
    assert "images against equal ones: 0.0 at most" in printed
