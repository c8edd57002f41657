"""config_mapping.csv of a study: the inverse of `experiments`."""

import re

from lycoris_bench.published import renames
from lycoris_bench.published.experiments import COLUMNS, WHOLE, configuration
from lycoris_bench.published.renames import PublishedError
from lycoris_bench.published.table_file import to_csv
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import COMBINED, Configuration

FIRST = 1001  # number of an experiment


def experiments_of(study: Study) -> dict[str, str]:
    """Configuration -> the name of its experiment, in the form that theirs have."""
    names = [c.name for c in study.configurations]
    safe = [re.sub(r"[^\w.+-]", "_", name) for name in names]
    return {name: f"exp-{FIRST + k}-{safe[k]}" for k, name in enumerate(names)}


def mapping_of(study: Study, names: dict[str, str]) -> tuple[str, list[str]]:
    """config_mapping.csv of a study's trained configurations, and those it cannot describe."""
    captions = {ours: theirs for theirs, ours in renames.CAPTIONS.items()}
    rows, odd = [], []
    for c in study.configurations:
        if c.algorithm == COMBINED:
            odd.append(f"'{c.name}'")
            continue
        options = c.keywords
        sizes = [options.get(name, "N/A") for name in ("dim", "alpha", "factor")]
        if c.algorithm == "lokr" and "dim" not in options:
            sizes[:2] = [WHOLE, options.get("alpha", 1)]
        cells = [names[c.name], c.algorithm, c.preset, repr(c.lr), *map(str, sizes),
                 captions.get(c.captions, c.captions or ".txt")]  # fmt: skip
        rows.append(cells)
        if not _described(dict(zip(COLUMNS, cells, strict=True)), c):
            odd.append(f"'{c.name}'")
    return to_csv(list(COLUMNS), rows), odd


def _described(row: dict[str, str], asked: Configuration) -> bool:
    try:
        return configuration(row).uid == asked.uid
    except PublishedError:
        return False
