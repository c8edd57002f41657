"""The rates and epochs of the miniature study are those that its pilots give, by their rules."""

from pathlib import Path

import pytest

from benchmarks import pilot
from lycoris_bench.study.load import load
from lycoris_bench.study.places import locate

RESULTS = Path(__file__).parents[2] / "results"


def test_rates_and_epochs_follow_from_the_pilots(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(RESULTS / name) for name in ("pilot", "pilot-2")]
    monkeypatch.setattr("sys.argv", ["pilot", *folders])
    pilot.main()
    said = capsys.readouterr().out
    assert "lora, loha, lokr: 0.008; full: 0.0002, 0.001 and 0.0001" in said
    assert "epochs: 6, 18, 30" in said
    assert "lora, loha, lokr at 0.004: none collapsed" in said
    study = load(locate("package:configs/miniature.toml", Path()))
    rates: dict[str, set[float]] = {}
    for configuration in study.configurations:
        rates.setdefault(configuration.algorithm, set()).add(configuration.lr)
    for algorithm in ("lora", "loha", "lokr"):
        assert rates[algorithm] == {4e-3, 8e-4, 8e-3}
    assert rates["full"] == {2e-4, 1e-3, 1e-4}
    assert study.settings.epochs == (6, 18, 30)
