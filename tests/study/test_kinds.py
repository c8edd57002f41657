"""A concept says of what kind it is; the name of its category says nothing, but in older tables."""

from pathlib import Path

import pytest

from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.study import concept_words, prompt_types
from lycoris_bench.study.concept_words import PromptError
from lycoris_bench.study.records import Concept

SHARE = Path(__file__).parents[2]
DOTS, INK = Concept("looks", "dots"), Concept("styles", "ink")
WORDS = 'trigger = "rps"\nclass_word = "style"\ndescription = ""\n'


def table(folder: Path, dots: str = "", ink: str = "") -> Path:
    text = f'["looks/dots"]\n{WORDS}{dots}\n["styles/ink"]\n{WORDS}{ink}\n'
    (folder / "concepts.toml").write_text(text)
    return folder


def test_what_is_drawn_in_a_style_has_no_style_prompts(tmp_path: Path) -> None:
    words = concept_words.read_words(table(tmp_path, 'kind = "style"'), [DOTS, INK])
    (tmp_path / "style.txt").write_text("{} as a fresco\n")
    assert prompt_types.prompt_set(tmp_path, DOTS, "style", words[DOTS], []) is None
    thing = concept_words.read_words(table(tmp_path), [DOTS])
    assert prompt_types.prompt_set(tmp_path, DOTS, "style", thing[DOTS], []) is not None


def test_a_table_without_kinds_is_taken_as_before_and_says_so_once(tmp_path: Path) -> None:
    words = concept_words.read_words(table(tmp_path), [DOTS, INK])
    assert (words[DOTS].kind, words[INK].kind) == ("", "style")
    assert concept_words.doubts(tmp_path, [DOTS, INK], tmp_path) == (
        f"{tmp_path}/concepts.toml: styles/ink is taken for a style by the name of the category; "
        'write kind = "style" in the table of each',
    )
    table(tmp_path, ink='kind = "style"')
    assert concept_words.doubts(tmp_path, [DOTS, INK], tmp_path) == ()


def test_an_unknown_kind_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="looks/dots: unknown kind 'stile'; did you mean 'style'"):
        concept_words.read_words(table(tmp_path, 'kind = "stile"'), [DOTS])
    with pytest.raises(PromptError, match="unknown kind '3'"):
        concept_words.read_words(table(tmp_path, "kind = 3"), [DOTS])


def test_metrics_ask_for_kinds_that_a_table_may_say() -> None:
    asked = {kind for metric in METRICS.entries().values() for kind in metric.kinds}
    assert asked == {"style"} <= set(concept_words.kinds())
    assert {k for row in prompt_types.TYPES.values() for k in row.not_for} == {"style"}


@pytest.mark.parametrize("tree", ["miniature/dataset", "prompts/paper"])
def test_the_shipped_tables_say_all_kinds(tree: str) -> None:
    folder = next(f for f in (SHARE / tree, SHARE / "lycoris_bench" / tree) if f.is_dir())
    names = concept_words.concept_table(folder)[1]
    concepts = [Concept(*name.split("/", 2)) for name in names]
    words = concept_words.read_words(folder, concepts)
    assert concept_words.doubts(folder, concepts, folder) == ()
    styles = {str(c) for c, named in words.items() if named.kind == "style"}
    assert styles == {name for name in names if name.startswith("styles/")} and len(styles) == 7
