"""A damaged clone is answered with file, line and column; nothing of the user's is replaced."""

import csv
import os
import shutil
from pathlib import Path

import pytest

from lycoris_bench.cli import main
from lycoris_bench.published.import_published import import_published
from lycoris_bench.study.concept_words import read_words
from lycoris_bench.study.prompt_types import prompt_set
from lycoris_bench.study.records import Concept
from tests.published.conftest import DRAWN, LORA, MAPPING, ROWS, TITLES, write_table


def imported(clone: Path, out: Path, *more: str) -> int:
    return main.call(main.command(), ["import-published", str(clone), "--out", str(out), *more])


def edited(name: str, old: str, new: str, times: int = 1):
    def damage(clone: Path) -> None:
        path = next(clone.rglob(name))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, times))

    return damage


def replaced(name: str, data: bytes):
    return lambda clone: next(clone.rglob(name)).write_bytes(data)


TABLE, CONFIG = "ddim_sd15_metrics.csv", "config_mapping.csv"
LAST = MAPPING.splitlines()[-1]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (edited(TABLE, "0.25", "O.25"), f"{TABLE}, line 2, column '{TITLES[0]}': 'O.25' is no num"),
        (edited(TABLE, "0.25,0.5", "0.25,inf", 2), f"line 2, column '{TITLES[1]}': 'inf' is no nu"),
        (edited(TABLE, "0.25,0.5", "0.25,1_0"), "'1_0' is no number"),
        (edited(TABLE, f"{DRAWN}-{LORA}-b/style/dots,0.25,0.5", f"{DRAWN}-{LORA}-b/st"),
         f"{TABLE}, line 3: it has 1 cell and the table 3 columns"),
        (edited(TABLE, "-b/style", "-a/style"), f"{TABLE}, line 3: it has two rows of"),
        (edited(TABLE, f"{LORA}-b/", f"{LORA}-z/"), f"{TABLE}, line 3: folder '"),
        (edited(TABLE, f"{DRAWN}-{LORA}-b/style/dots", ""), f"{TABLE}, line 3: folder '' cannot"),
        (edited(TABLE, f"{DRAWN}-{LORA}-b/style/dots", "../../x"), "line 3: folder '../../x' can"),
        (edited(TABLE, f"{DRAWN}-{LORA}-b/style", f"{DRAWN}-{LORA}-b/stile"),
         f"{TABLE}, line 3: unknown category 'stile'; known are: anime, people, style"),
        (edited(TABLE, f"{DRAWN}-{LORA}-b/style/dots", f"{DRAWN}/style/.."), "line 3: folder '"),
        (edited(TABLE, f"{DRAWN}-{LORA}-b", f"{DRAWN[:-3]}"), f"({DRAWN} are)"),
        (edited(TABLE, "0.25", "1.25"), f"{TABLE}, line 2, column '{TITLES[0]}': 1.25 cannot be; a "
         "number from -1 to 1 is needed"),
        (edited(TABLE, "0.25,0.5", "0.25,-2"), f"'{TITLES[1]}': -2 cannot be"),
        (edited(TABLE, TITLES[0], "Beauty (in)"), "column 'Beauty (in)': unknown metric 'Beauty'"),
        (edited(TABLE, TITLES[0], TITLES[1]), f"has two columns '{TITLES[1]}'"),
        (edited(TABLE, "Folder", "Place"), "has no first column 'Folder'"),
        (edited(TABLE, "Folder", '"Folder'), f"{TABLE}, line"),
        (replaced(TABLE, b""), "has no first column 'Folder'"),
        (replaced(TABLE, b"\x89PNG\r\n\x1a\n\xff"), "is not UTF-8 text (byte 0)"),
        (edited(CONFIG, LAST, LAST[:20]), f"{CONFIG}, line 8: it has 1 cell and the table 8"),
        (edited(CONFIG, ",0.0005,", ",fast,"), f"{CONFIG}, line 2: column 'Lr': 'fast' is no n"),
        (edited(CONFIG, ",8,4,", ",8.5,4,"), f"{CONFIG}, line 2: column 'Dim': '8.5' is no numb"),
        (edited(CONFIG, "N/A,.txt", "N/A,.doc"), f"{CONFIG}, line 2: unknown kind of captions"),
        (edited(CONFIG, "Config,", "Configuration,"), "lacks the columns: Config"),
        (replaced(CONFIG, b""), "lacks the columns: Config, Algo"),
        (replaced(CONFIG, b"a\0b"), "holds NUL characters"),
        (replaced("token_mapping.csv", b"\xff\xfe\xff"), "token_mapping.csv is not UTF-16"),
        (replaced("triggeronly.txt", b"\n"), "triggeronly.txt is empty; its first line is"),
        (replaced("out_dist_prompts.txt", b"\xc3("), "out_dist_prompts.txt is not UTF-8 text"),
    ],
)  # fmt: skip
def test_damage_is_named_and_nothing_is_written(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage, said: str
) -> None:
    damage(whole)
    assert imported(whole, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and error.startswith(f"error: {whole}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("title", "value", "needed"),
    [
        ("FD (convnextv2-l-resize)", -5, "of 0 or more"),
        ("Style Loss (in)", -0.5, "of 0 or more"),
        ("Squared Centroid Distance (convnextv2-l-crop) (in)", -1, "from 0 to 4"),
        ("Squared Centroid Distance (convnextv2-l-crop) (in)", 4.5, "from 0 to 4"),
        ("Vendi (clip-L-14) (in)", 0.5, "from 1 to 100"),
        ("Vendi (clip-L-14) (in)", 101, "from 1 to 100"),
    ],
)
def test_a_number_that_no_metric_has_is_refused(
    whole: Path, tmp_path: Path, capsys, title: str, value: float, needed: str
) -> None:
    write_table(whole / "ddim_sd15_metrics.csv", {f"{DRAWN}-{LORA}-a": [value]}, [title])
    assert imported(whole, tmp_path / "out") == 2
    said = f"line 2, column '{title}': {value} cannot be; a number {needed} is needed"
    assert said in capsys.readouterr().err


def test_numbers_at_the_bounds_and_their_rounding_pass(whole: Path, tmp_path: Path) -> None:
    """A distance of whole checkpoints has no category."""
    titles = ["FD (convnextv2-l-resize)", "Vendi (clip-L-14) (in)", "Text Similarity (in)"]
    values = [-0.0000001, 100.0, -1.0]
    write_table(
        whole / "ddim_sd15_metrics.csv", {f"{DRAWN}-{LORA}-a": values, DRAWN: values}, titles
    )
    import_published(whole, tmp_path)
    rows = list(csv.DictReader((tmp_path / "main/metrics.csv").read_text().splitlines()))
    assert sorted({float(row["value"]) for row in rows}) == sorted(values)
    assert {row["category"] for row in rows} == {""}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, f"{TABLE} has no row under its titles; the file is damaged"),
        ({f"{DRAWN}-exp-7-other-a/style/dots": [0.1, 0.2]}, "has a row of an experiment that"),
    ],
)
def test_a_table_without_rows_is_a_sentence(
    whole: Path, tmp_path: Path, capsys, table: dict[str, list[object]], said: str
) -> None:
    write_table(whole / TABLE, table, TITLES)
    assert imported(whole, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_tables_and_mappings_with_titles_alone(whole: Path, tmp_path: Path, capsys) -> None:
    write_table(whole / TABLE, {f"{DRAWN}-{LORA}-a/style/dots": []}, [])
    assert imported(whole, tmp_path / "out") == 2
    assert f"{TABLE} has no column but 'Folder'" in capsys.readouterr().err
    write_table(whole / TABLE, ROWS, TITLES)
    next(whole.rglob(CONFIG)).write_text(MAPPING.splitlines()[0] + "\n")
    assert imported(whole, tmp_path / "out") == 2
    assert "has a row of an experiment that" in capsys.readouterr().err


@pytest.mark.parametrize("name", [TABLE, CONFIG, "token_mapping.csv", "eval_prompts"])
def test_copies_pass_and_different_files_of_one_name_are_both_named(
    whole: Path, tmp_path: Path, capsys, name: str
) -> None:
    own = next(whole.rglob(name))
    copy = whole / "old/deeper" / name
    copy.parent.mkdir(parents=True)
    shutil.copytree(own, copy) if own.is_dir() else shutil.copy(own, copy)
    import_published(whole, tmp_path / "copies")
    changed = next(copy.rglob("alter*"), next(copy.rglob("*.txt"), copy)) if own.is_dir() else copy
    changed.write_text(changed.read_text() + "\n")
    assert imported(whole, tmp_path / "out") == 2
    assert f"{own} and {copy} have one name and different contents" in capsys.readouterr().err


def test_equal_copies_of_a_table_give_each_row_once(whole: Path, tmp_path: Path) -> None:
    """Of a pattern too, where every name is another table."""
    name = "style_classes_style_losses_b.csv"
    write_table(whole / name, {f"{DRAWN}-{LORA}-a/style/dots": [7.5]}, ["Style Loss (in)"])
    (whole / "copy").mkdir()
    shutil.copy(whole / name, whole / "copy" / name)
    import_published(whole, tmp_path)
    rows = list(csv.DictReader((tmp_path / "main/metrics.csv").read_text().splitlines()))
    assert [row["value"] for row in rows if row["metric"] == "style_loss"] == ["7.5"]


def test_a_pipe_or_folder_in_the_place_of_a_table(whole: Path, tmp_path: Path, capsys) -> None:
    for make, kind in ((os.mkfifo, "a pipe"), (os.mkdir, "a folder")):
        path = next(whole.rglob(TABLE))
        path.unlink()
        make(path)
        assert imported(whole, tmp_path / "out") == 2
        assert f"{TABLE} is {kind}" in capsys.readouterr().err
        path.rmdir() if kind == "a folder" else path.unlink()
        write_table(path, ROWS, TITLES)


def test_a_clone_as_other_editors_save_it(whole: Path, tmp_path: Path) -> None:
    """Marks and ends of lines of Windows: the same rows and the same prompts."""
    import_published(whole, tmp_path / "plain")
    for path in [*whole.rglob("*.csv"), *whole.rglob("*.txt")]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    import_published(whole, tmp_path / "marked")
    for name in ("main/metrics.csv", "prompts/concepts.toml", "prompts/styles/dots/alter.txt"):
        assert (tmp_path / "marked" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_what_an_import_did_not_write_is_kept(whole: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert imported(whole, out) == 0 and imported(whole, out) == 0  # its own it replaces
    mine = out / "prompts/styles/dots/alter.txt"
    mine.write_text(mine.read_text() + "a prompt of mine\n")
    notes = out / "main/notes.txt"
    notes.write_text("kept")
    (out / "main/provenance.json").write_text("{}")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert imported(whole, out) == 2
    error = capsys.readouterr().err
    assert f"{mine}, {out}/main/metrics.parquet, {out}/main/metrics.csv and 2 more: there" in error
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert imported(whole, out, "--force") == 0
    assert "of mine" not in mine.read_text() and notes.read_text() == "kept"
    mine.unlink()
    os.mkfifo(mine)
    assert imported(whole, out, "--force") == 2
    assert "alter.txt is a pipe, which is not replaced" in capsys.readouterr().err


def test_the_mark_is_no_prompt(whole: Path, tmp_path: Path) -> None:
    import_published(whole, tmp_path)
    dots = Concept("styles", "dots")
    words = read_words(tmp_path, [dots], tmp_path / "prompts")[dots]
    found = prompt_set(tmp_path / "prompts", dots, "alter", words, [])
    assert found and found.prompts == ("vvo style under a bridge", "A fox beside the vvo style")


def test_cells_with_commas_are_one_cell(whole: Path, tmp_path: Path) -> None:
    """As the csv module of the language writes them."""
    name = f"{DRAWN}-{LORA}-a/people/Saw_Gerrera/bald, 3d"
    write_table(whole / TABLE, {name: [0.25, 0.5]}, TITLES)
    import_published(whole, tmp_path)
    rows = list(csv.DictReader((tmp_path / "main/metrics.csv").read_text().splitlines()))
    assert {row["subclass"] for row in rows} == {"bald, 3d"}
    assert sorted(float(row["value"]) for row in rows) == [0.25, 0.5]


def test_names_of_theirs_reach_no_terminal_as_they_are(whole: Path, tmp_path: Path, capsys) -> None:
    odd = {f"{DRAWN}-exp-7-\x1b[31mred-a/style/dots": [0.25, 0.5]}
    write_table(whole / TABLE, ROWS | odd, TITLES)
    assert imported(whole, tmp_path) == 0
    shown = capsys.readouterr().out
    assert r"left out, as the paper does: exp-7-\x1b[31mred" in shown and "\x1b" not in shown
