"""What a command says when it is done: no result is named that was not written."""

import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from lycoris_bench.cli import exits, main, printing, session
from lycoris_bench.run import outcome
from lycoris_bench.run.store import Store

FAILED = outcome.Outcome(failed={"lora/seed-23/epoch-010": "is not scored"})
FOUND = {
    "sentences": ["lora is the most faithful."],
    "ceiling": {"name": "held-out real images"},
    "categories": {
        "all categories": {
            "fidelity": {
                "prompt_type": "trigger",
                "distance_closed": {"lora": {"share": 0.426}, "loha": {"share": -0.001}},
            }
        }
    },
}


@pytest.fixture
def context(tmp_path: Path) -> Any:
    return SimpleNamespace(store=Store(tmp_path))


def test_a_failed_analysis_names_no_report(context: Any) -> None:
    made = session.summary(context, "analyze", FAILED)
    assert made["text"] == "analyze: 0 done, 0 already there, 1 failed. No report was written"
    assert made["result"] is None


def test_an_older_report_is_called_so(context: Any) -> None:
    report = context.store.write(context.store.report, "<html>")
    made = session.summary(context, "analyze", FAILED)
    assert made["text"].endswith(f"No report was written; {report} is of an earlier analysis")
    assert made["result"] is None


def test_a_report_with_failures_is_one(context: Any) -> None:
    report = context.store.write(context.store.report, "<html>")
    made = session.summary(context, "analyze", outcome.Outcome(1, failed=FAILED.failed))
    assert made["text"] == f"analyze: 1 done, 0 already there, 1 failed. Result: {report}"
    assert session.summary(context, "score", FAILED)["result"] == str(context.store.root)


def test_what_was_learned_is_said_of_the_right_images(context: Any) -> None:
    context.store.write(context.store.report, "<html>")
    context.store.write_json(context.store.findings, FOUND)
    assert session.findings(context)["text"] == (
        "lora is the most faithful.\n"
        "Of the way from the base model to held-out real images (trigger prompts): lora 43%, "
        f"loha 0%.\n\nReport: {context.store.report}"
    )


@pytest.mark.parametrize("content", [None, "[]", "{", "null"])
def test_no_findings_are_a_sentence(context: Any, content: str | None) -> None:
    if content:
        context.store.write(context.store.report, "<html>")
        context.store.write(context.store.findings, content)
    assert session.findings(context) == {"report": None, "text": "No report was written."}


def test_a_name_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    printing.say({"text": "a\x1b[31m leads\n\u202eb"}, as_json=False)
    session.print_problems("train", outcome.Outcome(failed={"\x07lora": "line\nline"}))
    out, err = capsys.readouterr()
    assert out == "a\\x1b[31m leads\n\\u202eb\n"
    assert err == "train: \\x07lora: line\\nline\n"


def test_a_reason_that_many_share_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"lora/{k}": "is not scored" for k in range(206)}
    few = {f"loha/{k}": "has diverged" for k in range(3)}
    session.print_problems("analyze", outcome.Outcome(failed=many | few))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "analyze: lora/0 and 205 more: is not scored"
    assert lines[1:] == [f"analyze: loha/{k}: has diverged" for k in range(3)]


def test_an_error_that_nobody_expected_says_what_was_done_and_asks_for_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only the key of a KeyError, and not status 2, which is for the user's mistakes."""
    from lycoris_bench.cli import exits
    from lycoris_bench.stages import analyze
    from lycoris_bench.study.load import parse
    from tests.support.world import table

    def fault(*_: Any) -> None:
        raise KeyError("dissimilarity")

    monkeypatch.setattr(analyze, "analyze", fault)
    file = tmp_path / "study.toml"
    file.write_text(parse(table()).toml())
    run = tmp_path / "run"
    arguments = ["analyze", str(file), "--run", str(run)]
    assert exits.call(typer.main.get_command(main.app), arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: while running analyze in {run}: KeyError: 'dissimilarity'\n")
    assert "Please report it" in said
    file.unlink()
    file.mkdir()
    arguments[0] = "train"
    assert exits.call(typer.main.get_command(main.app), arguments) == 2
    assert capsys.readouterr().err == f"error: {file}: is a folder; a plain file is needed\n"


def test_a_run_folder_in_place_of_a_study_is_told_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is told works."""
    from lycoris_bench.study.load import parse
    from tests.support.world import table

    run = tmp_path / "my run"
    run.mkdir()
    (run / "study.toml").write_text(parse(table()).toml())
    assert main.call(main.command(), ["ls", str(run)]) == 2
    told, _, typed = capsys.readouterr().err.partition("give its study file: ")
    assert told == f"error: {run}: is a run folder; "
    assert shlex.split(typed) == [str(run / "study.toml"), "--run", str(run)]
    assert main.call(main.command(), ["ls", *shlex.split(typed)]) == 0
    assert "lora" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("metrics", "encoders", "sampling", "said"),
    [
        (["text_similarity"], ["miniature-image"], {}, "needs an encoder of image\\+text"),
        (["style_loss"], ["miniature-image"], {}, "needs an encoder of gram"),
        (["vendi"], ["miniature-image"], {"images": 1}, "sampling.images of 2 or more"),
        (["frechet_distance"], ["miniature-image"], {"images": 1}, "sampling.images of 2 or more"),
        (["style_loss"], ["miniature-gram"], {"prompt_types": ["train"]}, "with the base model's"),
    ],
)
def test_a_metric_that_can_give_no_number_is_said_before_any_work(
    tmp_path: Path, metrics: list[str], encoders: list[str], sampling: dict[str, Any], said: str
) -> None:
    from lycoris_bench.messages.errors import BenchError
    from lycoris_bench.study.load import parse
    from tests.support.world import table

    scoring = {"metrics": metrics, "encoders": encoders}
    made = parse(table(scoring=scoring, sampling=sampling, concepts=["toys/bunny"]))
    file = tmp_path / "study.toml"
    file.write_text(made.toml())
    with pytest.raises(BenchError, match=f"metric '{metrics[0]}'.*{said}"):
        session.open_study(str(file), tmp_path / "run", [], None, None)


def test_a_study_of_files_alone_can_be_read_again() -> None:
    """Its stored study.toml has no `epochs`, as nothing is trained."""
    from lycoris_bench.study.load import parse
    from tests.support.world import table

    settings = table(combine={"one": {"adapters": ["/some/file.safetensors"]}})
    del settings["algorithms"], settings["epochs"]
    made = parse(settings)
    assert parse(tomllib.loads(made.toml())) == made


def test_a_home_that_nobody_has_is_a_sentence() -> None:
    from lycoris_bench.messages.errors import BenchError
    from tests.support.world import tiny

    for key in ("base_model", "dataset", "heldout", "prompts"):
        with pytest.raises(BenchError, match="~nobody-has-this/x cannot be followed"):
            tiny(**{key: "~nobody-has-this/x"})


def test_the_command_that_continues_can_be_pasted_into_a_shell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    typed = ["train", "my study.toml", "--set", 'concepts=["toys/bunny"]', "--set", "name=it's"]
    assert exits.call(stopped, typed) == 130
    said = capsys.readouterr().err.strip().partition("To continue, type: ")[2]
    assert shlex.split(said) == ["lycoris-bench", *typed]
