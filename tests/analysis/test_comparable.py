"""Views that captions make incomparable are set aside; every other mistake is still refused."""

import pandas as pd
import pytest

from lycoris_bench.analysis.comparable import comparable
from lycoris_bench.analysis.ranks import rank_scores
from tests.analysis.conftest import Rows, row

FACTORS = pd.DataFrame(
    {"configuration": ["lora", "loha", "lora-tags"], "captions": ["main", "main", "tags"]}
)


def view(name: str, fingerprint: str, **other: object) -> dict[str, object]:
    about: dict[str, object] = {"metric": "text_similarity", "prompt_type": "train", **other}
    return row(0.5, name, fingerprint=fingerprint, **about)


def test_what_differs_by_captions_alone_is_set_aside(table: Rows) -> None:
    same = [view(name, "s", prompt_type="alter") for name in FACTORS["configuration"]]
    own = [view("lora", "m"), view("loha", "m"), view("lora-tags", "t")]
    kept, aside = comparable(table([*own, *same]), FACTORS)
    assert list(kept["fingerprint"]) == ["s"] * 3
    assert [(one["metric"], one["prompt_type"]) for one in aside] == [("text_similarity", "train")]
    assert aside[0]["sentence"].startswith("Text similarity on train prompts is not ranked")
    rank_scores(kept)


@pytest.mark.parametrize("marks", [("m", "x", "t"), ("m", "x", "m")])
def test_other_differences_stay_to_be_refused(table: Rows, marks: tuple[str, ...]) -> None:
    rows = table([view(n, mark) for n, mark in zip(FACTORS["configuration"], marks, strict=True)])
    kept, aside = comparable(rows, FACTORS)
    assert len(kept) == 3 and aside == []
    with pytest.raises(ValueError, match="cannot be ranked together: they differ in metric v"):
        rank_scores(kept)


def test_another_protocol_is_no_matter_of_captions(table: Rows) -> None:
    """Two studies, each with captions of its own: refused, not set aside."""
    drawn = ['{"steps": 25}', '{"steps": 25}', '{"steps": 4}']
    rows = [
        view(n, f"{p}", protocol=p) for n, p in zip(FACTORS["configuration"], drawn, strict=True)
    ]
    kept, aside = comparable(table(rows), FACTORS)
    assert len(kept) == 3 and aside == []
    with pytest.raises(ValueError, match="steps 25 against 4"):
        rank_scores(kept)


def test_without_captions_that_vary_nothing_is_touched(table: Rows) -> None:
    rows = table([view("lora", "m"), view("loha", "x")])
    for factors in (FACTORS.drop(columns="captions"), FACTORS.head(2)):
        kept, aside = comparable(rows, factors)
        assert kept is rows and aside == []
