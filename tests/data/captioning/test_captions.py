"""`lycoris-bench caption`: what is written beside which image, and what is never overwritten."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from lycoris_bench.cli import main
from lycoris_bench.data.captioning import tags
from lycoris_bench.data.captioning.tagger import Tagger
from lycoris_bench.data.dataset import scan
from lycoris_bench.study.records import Concept

Captured = pytest.CaptureFixture[str]


def caption(folder: Path, *arguments: object) -> int:
    given = ["caption", str(folder), "--device", "cpu", *map(str, arguments)]
    return main.call(main.command(), given)


def written(folder: Path, extension: str) -> dict[str, str]:
    found = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob(f"*{extension}")}
    return dict(sorted(found.items()))


def test_none_is_the_descriptor_and_needs_no_tagger(dataset: Path, capsys: Captured) -> None:
    assert caption(dataset, "--strategy", "none", "--template", "a photo of {}") == 0
    assert "3 captions written as *.no-tags" in capsys.readouterr().out
    assert written(dataset, ".no-tags") == {
        "people/saw/bald, 3d/1.no-tags": "a photo of fck man, bald, 3d\n",
        "toys/bunny/1.no-tags": "a photo of olis toy\n",
        "toys/bunny/2.no-tags": "a photo of olis toy\n",
    }


def test_all_and_adjusted_are_what_the_tagger_sees(dataset: Path, tagger: Path) -> None:
    """Each image alone through the tagger; adjusted leaves out what the concept's table says."""
    (dataset / "tags.toml").write_text('"toys/*" = ["* hair", "hat"]\n"people/saw" = ["*"]\n')
    for strategy in ("all", "adjusted"):
        arguments = ("--strategy", strategy, "--threshold", 0.02, "--tagger", tagger)
        assert caption(dataset, *arguments) == 0
    loaded, dropped = Tagger.load(str(tagger)), set()
    for example in scan(dataset, captions=False).examples:
        with Image.open(example.path) as image:
            (seen,) = loaded.tags([image.convert("RGB")], 0.02)
        people = example.concept.category == "people"
        head = "fck man, bald, 3d" if people else "olis toy"
        everything = example.path.with_suffix(".all-tags").read_text()
        assert everything == ", ".join([head, *seen]) + "\n"
        rest = [] if people else [tag for tag in seen if tag not in ("long hair", "hat")]
        assert example.path.with_suffix(".txt").read_text() == ", ".join([head, *rest]) + "\n"
        dropped |= set() if people else set(seen) & {"long hair", "hat"}
    assert dropped == {"long hair", "hat"}
    assert {e.caption for e in scan(dataset).examples} == {
        text.strip() for text in written(dataset, ".txt").values()
    }


def test_captions_that_are_there_are_kept(dataset: Path, tagger: Path, capsys: Captured) -> None:
    mine = dataset / "toys/bunny/1.no-tags"
    mine.write_text("my own words")
    assert caption(dataset, "--strategy", "none") == 0
    assert "2 captions written" in (said := capsys.readouterr().out)
    assert "1 were there and are kept (--force writes them anew)" in said
    assert mine.read_text() == "my own words"
    assert caption(dataset, "--strategy", "none", "--force") == 0
    assert mine.read_text() == "olis toy\n"
    assert not list(dataset.rglob("*.part")) and not list(dataset.rglob("*.txt"))


def test_one_descriptor_for_a_folder_without_concepts(tmp_path: Path, capsys: Captured) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "10.png")
    arguments = ("--strategy", "none", "--descriptor", "sks dog", "--extension", ".caption")
    assert caption(tmp_path, *arguments, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"written": 1, "kept": 0, "extension": ".caption"}
    assert written(tmp_path, ".caption") == {"10.caption": "sks dog\n"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategy", "adjustd"], "unknown strategy 'adjustd'; did you mean 'adjusted'?"),
        (["--threshold", "1.5"], "--threshold is 1.5; between 0 and 1 is allowed"),
        (["--extension", "txt"], "--extension is 'txt'; it begins with a dot"),
        ([], "tags.toml is missing; it lists the tags that belong to a concept"),
        (["--tags", "wrong.toml"], "'toys/*' must be a list of tags"),
        (["--tags", "broken.toml"], "broken.toml cannot be read as TOML"),
        (["--strategy", "all", "--tagger", "someone/tagger"], "type: hf download someone/tagger"),
        (["--strategy", "none", "--words", "elsewhere"], None),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    dataset: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    said: str | None,
) -> None:  # fmt: skip
    monkeypatch.chdir(dataset)
    (dataset / "wrong.toml").write_text('"toys/*" = "hat"\n')
    (dataset / "broken.toml").write_text("= hat\n")
    if said is None:
        (dataset / "concepts.toml").unlink()
        said = "concepts.toml is missing"
    assert caption(dataset, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not written(dataset, ".txt") and not written(dataset, ".no-tags")


def test_the_tables_may_lie_in_a_prompt_tree(dataset: Path, tagger: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (dataset / "concepts.toml").rename(tmp_path / "tree/concepts.toml")
    (tmp_path / "tree/tags.toml").write_text('"*" = ["*"]')
    assert caption(dataset, "--words", tmp_path / "tree", "--tagger", tagger) == 0
    assert set(written(dataset, ".txt").values()) == {"olis toy\n", "fck man, bald, 3d\n"}


def test_patterns_of_concepts_and_tags() -> None:
    table = {"people/*": ["solo", "*eyes"], "people/saw/bald, 3d": ["bald"], "toys": [";d"]}
    own = tags.left_out(Concept("people", "saw", "bald, 3d"), table)
    assert [t for t in ("solo", "blue eyes", "eyes shut", "bald", ";d") if own.fullmatch(t)] == [
        "solo", "blue eyes", "bald",
    ]  # fmt: skip
    assert tags.left_out(Concept("toys", "bunny"), table).fullmatch(";d")
    assert not tags.left_out(Concept("scenes", "lake"), table).fullmatch("")
    assert tags.caption("a, b", ["b", "c"], re.compile("(?!)")) == "a, b, c"
