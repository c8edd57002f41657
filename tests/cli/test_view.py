"""`lycoris-bench view`: the page of a run or of a study's run, opened or said."""

import json
import os
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

import pytest

from lycoris_bench.cli import main
from tests.support.world import table as tiny_table


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was given."""
    given: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: given.append(url) or True)
    return given


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = tmp_path / "my run"
    (made / "report").mkdir(parents=True)
    (made / "report/index.html").write_text("<p>page")
    (made / "study.toml").write_text('name = "mine"')
    return made


def called(*arguments: str) -> int:
    return main.call(main.command(), ["view", *arguments])


@pytest.mark.parametrize("inside", ["", "report/index.html", "study.toml"])
def test_the_page_is_opened_as_a_file(run: Path, opened: list[str], inside: str) -> None:
    """Of a run folder, however it is pointed at."""
    assert called(str(run / inside)) == 0
    assert opened == [(run / "report/index.html").as_uri()]


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("nothere") == 2
    assert capsys.readouterr().err == "error: nothere: there is no such study file or run folder\n"


def test_the_address_is_said_and_nothing_opened(
    run: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(str(run), "--no-open", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["address"] == (run / "report/index.html").as_uri() and not said["opened"]
    assert opened == []


def test_a_study_leads_to_its_run(
    run: Path, opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tomli_w

    monkeypatch.chdir(tmp_path)
    study = tmp_path / "mine.toml"
    study.write_text(tomli_w.dumps(tiny_table(name="mine")))
    assert called(str(study), "--run", str(run)) == 0
    (tmp_path / "runs").mkdir()
    run.rename(tmp_path / "runs/mine")
    assert called(str(study)) == 0
    assert opened[1] == (tmp_path / "runs/mine/report/index.html").as_uri()


def test_what_has_no_page_is_a_sentence(
    run: Path, tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "report/index.html").unlink()
    assert called(str(run)) == 2
    assert "index.html is missing; run 'lycoris-bench analyze" in capsys.readouterr().err
    os.mkfifo(run / "report/index.html")
    assert called(str(run)) == 2
    (tmp_path / "empty").mkdir()
    assert called(str(tmp_path / "empty")) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert called(str(run), "--run", "other") == 2
    assert called(str(tmp_path / "none.toml")) == 2
    assert opened == []


def test_served_until_it_is_stopped(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address answers while the command runs; Ctrl-C ends it, and then nothing answers."""
    given: list[str] = []

    def browse(url: str) -> bool:
        given.append(url)
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.read() == b"<p>page"
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", browse)
    assert called(str(run), "--serve") == 0
    assert given[0].startswith("http://127.0.0.1:")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(given[0], timeout=60)
    assert capsys.readouterr().err == ""
