"""The benchmarks that are asked about a run: what they cannot answer is a sentence."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import claims, enough, leak, pilot
from benchmarks.sentences import answered
from lycoris_bench.messages.errors import BenchError

RESULTS = Path(__file__).parents[1] / "results"
RUN_SHORT = RESULTS / "pilot-2"


def asked(benchmark: Any, monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
    return answered(benchmark.main)


@pytest.mark.parametrize("benchmark", [claims, enough, leak, pilot])
def test_a_folder_that_is_no_run_is_a_sentence(
    benchmark: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert asked(benchmark, monkeypatch, tmp_path / "none") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'} does not exist\n"


def test_another_study_is_no_pilot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(pilot, monkeypatch, RUN_SHORT) == 2
    assert "pilot-2 is no pilot: its study has no epoch 12, no epoch 20, no full" in (
        capsys.readouterr().err
    )


def test_two_runs_of_one_study_are_two_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = {"id": "a", "exploratory": False}
    run = SimpleNamespace(
        study=SimpleNamespace(name="same"), findings={"claims": {"verdicts": [verdict]}}
    )
    monkeypatch.setattr(claims, "open_run", lambda _: run)
    assert list(claims.columns([Path("x"), Path("y")])) == ["same", "y"]


def test_claims_that_cannot_be_tested_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "columns", lambda _: {"mine": {"a": {"id": "a"}}})
    monkeypatch.setattr(sys, "argv", ["claims", "x"])
    with pytest.raises(BenchError, match="mine: no claim of the paper can be tested there"):
        claims.main()
