"""config_mapping.csv: which experiment of the authors is which configuration of a study."""

import csv
from pathlib import Path

from lycoris_bench.published.names import CAPTIONS, PublishedError, translated
from lycoris_bench.study import Study
from lycoris_bench.vocabulary import Configuration, Option

COLUMNS = ("Config", "Algo", "Preset", "Lr", "Dim", "Alpha", "Factor", "Caption")
WHOLE = 10000  # their LoKr dimension: no block is decomposed, and dim and alpha have no part


def experiments(mapping: Path, study: Study) -> dict[str, Configuration]:
    """Experiment -> the study's configuration with the same algorithm, layers, rate, options and
    captions. An experiment that the study does not ask for is left out."""
    known = {c.uid: c for c in study.configurations}
    with mapping.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise PublishedError(f"{mapping} lacks the columns: {', '.join(missing)}")
        rows = list(reader)
    found = {}
    for row in rows:
        try:
            made = configuration(row)
        except ValueError as error:
            raise PublishedError(f"{mapping}, {row['Config']}: {error}") from None
        if match := known.get(made.uid):
            found[row["Config"]] = match
    return found


def configuration(row: dict[str, str]) -> Configuration:
    """A row of the mapping in our terms, under the authors' name."""
    options: dict[str, Option] = {}
    if row["Algo"] == "lokr":
        options["factor"] = int(row["Factor"])
    if row["Algo"] != "full" and not (row["Algo"] == "lokr" and int(row["Dim"]) >= WHOLE):
        options |= {"dim": int(row["Dim"]), "alpha": int(row["Alpha"])}
    return Configuration(
        row["Config"], row["Algo"], row["Preset"], float(row["Lr"]), tuple(sorted(options.items())),
        captions=translated(CAPTIONS, row["Caption"], "kind of captions"),
    )  # fmt: skip
