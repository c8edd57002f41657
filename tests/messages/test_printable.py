"""What a spreadsheet makes of a table that holds names from files."""

import csv
import io

import pandas as pd

from lycoris_bench.messages import printable


def test_no_name_is_a_formula_and_no_number_is_touched() -> None:
    names = ["=1+1", "+1", "-lora", "@SUM(A1)", "\t=1", "lora, full", 'a "b"', "$x$"]
    table = pd.DataFrame({
        "name": names, "value": [-0.5, 0, 1, 2, 3, 4, 5, 6], "seed": [None, *range(7)],
    })  # fmt: skip
    read = list(csv.reader(io.StringIO(printable.csv(table.astype({"seed": "Int64"})))))
    assert read[0] == ["name", "value", "seed"]
    shown = [*(f"'{name}" for name in names[:4]), r"\t=1", *names[5:]]
    assert [row[0] for row in read[1:]] == shown
    assert [row[1:] for row in read[1:3]] == [["-0.5", ""], ["0.0", "0"]]
    assert table["name"].tolist() == names, "the table itself stays"


def test_names_are_whole_and_have_nothing_that_a_terminal_obeys_or_hides() -> None:
    """Escapes as Python writes them; a class's name never begins a line of its own."""
    names = [
        "a\x1b[31mb",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "a\u202eb",
        "a\u2028b",
        "\r=1",
        "naïve ☃" * 100,
    ]
    want = [
        r"a\x1b[31mb",
        r"a\nb",
        r"a\r\nb",
        r"a\tb",
        r"a\u202eb",
        r"a\u2028b",
        r"\r=1",
        names[-1],
    ]
    for dtype in ("object", "string", "category"):
        text = printable.csv(pd.DataFrame({"class": pd.Series(names, dtype=dtype), "n": 1.5}))
        assert text.splitlines() == ["class,n", *(f"{name},1.5" for name in want)]
