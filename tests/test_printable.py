"""What a spreadsheet makes of a table that holds names from files."""

import csv
import io

import pandas as pd

from lycoris_bench import printable


def test_no_name_is_a_formula_and_no_number_is_touched() -> None:
    names = ["=1+1", "+1", "-lora", "@SUM(A1)", "\t=1", "lora, full", 'a "b"', "$x$"]
    table = pd.DataFrame({
        "name": names, "value": [-0.5, 0, 1, 2, 3, 4, 5, 6], "seed": [None, *range(7)],
    })  # fmt: skip
    read = list(csv.reader(io.StringIO(printable.csv(table.astype({"seed": "Int64"})))))
    assert read[0] == ["name", "value", "seed"]
    assert [row[0] for row in read[1:]] == [*(f"'{name}" for name in names[:5]), *names[5:]]
    assert [row[1:] for row in read[1:3]] == [["-0.5", ""], ["0.0", "0"]]
    assert table["name"].tolist() == names, "the table itself stays"
