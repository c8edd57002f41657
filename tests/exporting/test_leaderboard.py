"""A leaderboard: what stands on it, what is listed apart and why, and its file."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.exporting import entry_file, run_values
from lycoris_bench.exporting.leaderboard import leaderboard
from lycoris_bench.messages.errors import BenchError
from tests.exporting.conftest import Written


class Page(HTMLParser):
    """The cells of a page's tables, and where it would fetch something from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        self.open = tag in ("td", "th", "button", "small")
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.links += [str(v) for name, v in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self.open = tag in ("button", "small") and self.open

    def handle_data(self, data: str) -> None:
        if self.open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_runs_that_were_measured_alike_share_a_table(written: Written, tmp_path: Path) -> None:
    told = leaderboard([written("one"), written("two")], tmp_path / "out")
    assert (told["runs"], told["apart"], told["entries"]) == (["one", "two"], {}, 4)
    page = Page((tmp_path / "out/index.html").read_text())
    head, base, real, *rows = page.rows
    assert [cell.split("image")[0].split("style")[0] for cell in head[5:]] == [
        "Fidelity", "Preservation",
    ]  # fmt: skip
    assert base[1:6:4] == ["base model", "0.110 ± 0.010"] and real[1] == "real images"
    assert [row[:5] for row in rows] == [
        [run, name, name, "10", "2"] for run in ("one", "two") for name in ("lora", "full")
    ]
    assert rows[0][5].startswith("0.530 ± 0.022")
    assert page.links == ["leaderboard.json"]  # nothing is fetched


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": {"steps": 25}}, "the protocol of the images: steps 12 against 25"),
        ({"n": 8}, "n, images of a set, of image similarity: 4 against 8"),
        ({"encoder": "other"}, "the encoder of image similarity: eye against other"),
        ({"resize": "letterbox"}, "the resizing of image similarity: crop against letterbox"),
        ({"subclass": "s"}, "the concepts of image similarity (things/bunny, things/bunny/s and 2"),
        ({"fingerprint": "x"}, "image similarity: they differ in metric version, encoder record"),
    ],
)
def test_what_differs_is_said(
    written: Written, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    told = leaderboard([written("one"), written("two", **changes)], tmp_path / "out")
    assert told["runs"] == ["one"] and said in told["apart"]["two"]
    html = (tmp_path / "out/index.html").read_text()
    assert "two cannot be compared with one, as these differ: " in html
    assert "<td>two</td>" not in html


def test_a_file_stands_for_its_runs(written: Written, tmp_path: Path) -> None:
    one, two = written("one"), written("two")
    leaderboard([one, two], tmp_path / "out")
    leaderboard([one], tmp_path / "first")
    leaderboard([two], tmp_path / "second")
    of_files = [tmp_path / name / "leaderboard.json" for name in ("first", "second")]
    leaderboard(of_files, tmp_path / "joined")
    for name in ("index.html", "leaderboard.json"):
        together = (tmp_path / "joined" / name).read_text()
        assert together == (tmp_path / "out" / name).read_text()
    assert entry_file.read(of_files[0]) == [run_values.read(one)]


def test_runs_of_one_name_are_told_apart(written: Written, tmp_path: Path) -> None:
    one = written("demo")
    leaderboard([one], tmp_path / "out")
    told = leaderboard([one, tmp_path / "out/leaderboard.json"], tmp_path / "more")
    assert told["runs"] == ["demo", "demo (2)"]


def test_names_are_never_markup(written: Written, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    found = json.loads(entry_file.to_text([run_values.read(written("one"))], {}))
    found["runs"][0]["name"] = found["runs"][0]["entries"][0]["name"] = evil
    (tmp_path / "evil.json").write_text(json.dumps(found))
    leaderboard([tmp_path / "evil.json"], tmp_path / "out")
    html = (tmp_path / "out/index.html").read_text()
    assert evil not in html and html.count("<script>") == 1 and "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (["format"], "1", "its 'format' is not 'lycoris-bench leaderboard 1'"),
        (["runs"], [], "has no run"),
        (["runs"], {}, "stands where a list is needed"),
        (["runs", 0, "entries", 0, "values", "fidelity", "value"], "0.5", "'value' is '0.5'"),
        (["runs", 0, "entries", 0, "values", "fidelity", "n"], True, "'n' is True; a number"),
        (["runs", 0, "entries", 0, "values", "beauty"], {}, "value has or lacks"),
        (["runs", 0, "terms", 0, "protocol"], 3, "'protocol' is 3; a text is needed"),
        (["runs", 0, "extra"], 3, "runvalues has or lacks 'extra'"),
    ],
)
def test_a_damaged_file_is_a_sentence_and_writes_nothing(
    written: Written, tmp_path: Path, place: list[Any], value: Any, said: str
) -> None:
    found = json.loads(entry_file.to_text([run_values.read(written("one"))], {}))
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / "bad.json").write_text(json.dumps(found))
    with pytest.raises(BenchError, match=re.escape(said)):
        leaderboard([tmp_path / "bad.json"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_replaced(written: Written, tmp_path: Path) -> None:
    one = written("one")
    with pytest.raises(BenchError, match="is given twice; give each run once"):
        leaderboard([one, one], tmp_path / "out")
    leaderboard([one], tmp_path / "out")
    with pytest.raises(BenchError, match="is there already; --force replaces it"):
        leaderboard([one], tmp_path / "out")
    assert leaderboard([one], tmp_path / "out", force=True)["entries"] == 2
