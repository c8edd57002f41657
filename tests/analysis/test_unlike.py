"""What cannot be compared is refused, with what differs and both sides in the sentence."""

import pandas as pd
import pytest

from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.unlike import HALVES
from lycoris_bench.files.identity import uid
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning.protocol import fingerprint
from tests.analysis.conftest import Rows, row

TWELVE, FOUR = '{"sampler": "DDIM", "steps": 12}', '{"sampler": "DDIM", "steps": 4}'
LONG = {"study": "long", "fingerprint": "m-12", "protocol": TWELVE}
SHORT = {"study": "short", "fingerprint": "m-4", "protocol": FOUR}


def said(made: pd.DataFrame) -> str:
    with pytest.raises(BenchError) as refused:
        rank_scores(made)
    return str(refused.value)


def test_other_steps_are_refused_with_both_sides(table: Rows) -> None:
    rows = [row(1.0, "a", **LONG), row(2.0, "b", **LONG), row(3.0, "c", **SHORT)]
    assert said(table(rows)) == (
        "image_similarity (eye, letterbox) of toys/bunny on trigger prompts: a/seed-23/epoch-010 "
        "and 1 more (study long, fingerprint m-12) and c/seed-23/epoch-010 (study short, "
        "fingerprint m-4) cannot be ranked together: steps 12 against 4. Analyze them apart, or "
        "generate and score them alike"
    )


def test_each_difference_is_named_and_a_third_side_is_counted(table: Rows) -> None:
    other = '{"sampler": "DDIM", "steps": 4, "precision": "bf16"}'
    rows = [row(1.0, "a", **LONG), row(2.0, "b", **{**LONG, "fingerprint": "o", "protocol": other}),
            row(3.0, "c", **SHORT)]  # fmt: skip
    text = said(table(rows))
    assert "steps 12 against 4; precision unknown against bf16; and 1 more differ" in text


@pytest.mark.parametrize(("changed", "phrase"), [
    ({"n": 8, "fingerprint": "f1"}, "together: n 4 against 8. "),
    ({"n": 8}, "together: n 4 against 8. "),
    ({"better": "lower"}, "together: better higher against lower. "),
    ({"fingerprint": "f1"}, "differ in metric version, encoder record .*reference images or texts"),
    ({"study": "other"}, "how the images of a/seed-23/epoch-010 and c/.* were drawn is not known"),
    (SHORT, "how the images of a/seed-23/epoch-010 were drawn is not known, as in tables of older"),
])  # fmt: skip
def test_what_is_unlike_in_a_group(table: Rows, changed: dict[str, object], phrase: str) -> None:
    """Numbers of images and directions also where the fingerprints are one."""
    rows = table([row(1.0, "a"), row(2.0, "b"), row(3.0, "c", **changed)])
    with pytest.raises(BenchError, match=phrase):
        rank_scores(rows)


M, OTHER_M, D, OTHER_D = ("0123456789abcdef", "f" * 16, "a" * 16, "e" * 16)
DRAWN = r"what their images were drawn with \(sampling, base model or prompts\)"


@pytest.mark.parametrize(("one", "other", "phrase"), [
    (f"{M}-{D}", f"{M}-{OTHER_D}", rf"they differ in {DRAWN}\. "),
    (f"{M}-{D}", f"{OTHER_M}-{D}", r"they differ in metric version, .* or texts\. "),
    (f"{M}-{D}", f"{OTHER_M}-{OTHER_D}", rf"they differ in {DRAWN}; they differ in metric "),
    (f"{M}-{D}", M, r"the fingerprint of one does not say how its images were drawn\. "),
    (M, OTHER_M, "they differ in metric version, "),
    ("vendi-bunny", "vendi-panda", "they differ in metric version, "),  # written by hand
])  # fmt: skip
def test_the_half_of_a_fingerprint_that_differs_is_named(
    table: Rows, one: str, other: str, phrase: str
) -> None:
    """Of a table without protocols: the second half is the hash of one (planning/protocol.py)."""
    rows = table([row(1.0, "a", fingerprint=one), row(2.0, "b", fingerprint=other)])
    with pytest.raises(BenchError, match=f"cannot be ranked together: {phrase}"):
        rank_scores(rows.drop(columns="protocol"))


def test_fingerprints_have_these_halves() -> None:
    assert HALVES.fullmatch(fingerprint(uid("measured"), TWELVE))


def test_two_studies_of_one_protocol_are_ranked_together(table: Rows) -> None:
    rows = [row(1.0, "a", **LONG), row(2.0, "b", **{**LONG, "study": "short"})]
    assert rank_scores(table(rows))["score"].tolist() == [0, 1]


def test_base_is_held_to_it_and_real_images_are_not(table: Rows) -> None:
    rows = [row(1.0, "a", **LONG), row(2.0, "b", **LONG), row(0.9, "real", n=2, fingerprint="half")]
    assert len(rank_scores(table(rows))) == 2
    text = said(table([*rows, row(0.0, "base", **SHORT)]))
    assert "and base (study short, fingerprint m-4) cannot be ranked together: steps" in text


@pytest.mark.parametrize("empty", ["", " "])
def test_a_missing_fingerprint_is_refused(table: Rows, empty: str) -> None:
    rows = [row(1.0, "a", fingerprint=empty), row(2.0, "b", fingerprint=empty)]
    assert "column 'fingerprint' is empty in 2 of 2 rows" in said(table(rows))
    assert "column 'fingerprint' has empty cells" in said(table(rows).assign(fingerprint=None))


def test_a_table_without_protocols_is_taken(table: Rows) -> None:
    """Of an older version, of an import, or by hand: one study, and fingerprints as they are."""
    rows = table([row(1.0, "a"), row(2.0, "b")]).drop(columns="protocol")
    assert rank_scores(rows)["score"].tolist() == [0, 1]
