"""What is said of a stage where there is no terminal."""

import time

import pytest

from lycoris_bench.cli import progress


def test_a_line_says_done_total_rate_and_time_left() -> None:
    said: list[str] = []
    now = [100.0]
    lines = progress.Lines(said.append, lambda: now[0])
    lines.tell()
    assert said == []  # nothing has begun
    lines("train", 0, 3000)
    now[0] += 30
    lines.tell()
    lines("train", 60, 3000)
    now[0] += 30
    lines.tell()  # 60 steps in a minute: 2940 more are 49 minutes
    lines("score", 0, 4)
    lines("score", 4, 4)
    now[0] += 1
    lines.tell()
    assert said == [
        "train: 0 of 3,000 (0%)",
        "train: 60 of 3,000 (2%), 1 a second, about 49 min left",
        "score: 4 of 4 (100%), 4 a second, about 0 s left",
    ]


def test_lines_come_by_themselves_while_the_work_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    monkeypatch.setattr(progress.log, "propagate", False)
    monkeypatch.setattr(progress.log, "handlers", [])
    monkeypatch.setattr(progress.logging.getLogger(), "handlers", [])
    with progress.shown() as tell:
        tell("generate", 0, 10)
        tell("generate", 5, 10)
        deadline = time.monotonic() + 600  # a net for a test that would never end
        while "generate: 5 of 10" not in (said := capsys.readouterr().err):
            assert time.monotonic() < deadline
    assert "left" in said
