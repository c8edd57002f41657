"""prompts/paper/tags.toml against what the authors did to their captions: of the tags that the
table leaves out they keep few, and of the tags that they never kept it leaves out most."""

import os
from collections import Counter
from pathlib import Path

import pytest

from lycoris_bench.data.captioning import tags
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import Concept

PUBLISHED = Path(os.environ.get("LYCORIS_BENCH_PUBLISHED", "") or "nowhere") / "prompts"
# Scenes and toys they captioned by hand: theirs share nothing with a tagger's.
CATEGORIES = {"anime": "anime characters", "people": "movie characters", "style": "styles"}


def counted(path: Path) -> tuple[Counter[str], int]:
    """How many captions have each tag, and how many captions there are."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return Counter(tag for line in lines for tag in set(line.strip(", ").split(", "))), len(lines)


@pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="LYCORIS_BENCH_PUBLISHED names no published data"
)
@pytest.mark.parametrize("category", CATEGORIES)
def test_the_table_adjusts_as_the_authors_did(category: str) -> None:
    table = tags.removed(locate("package:prompts/paper/tags.toml", Path()))
    every = PUBLISHED / "eval_prompts_alltags_train"
    left, kept, bound, missed = 0, 0, 0, []
    for path in sorted((every / category).rglob("in_dist_prompts.txt")):
        place = path.relative_to(every)
        concept = Concept(CATEGORIES[category], *place.parts[1:-1])
        out = tags.left_out(concept, table)
        before, captions = counted(path)
        after, _ = counted(PUBLISHED / "eval_prompts" / place)
        ours = [tag for tag in before if out.fullmatch(tag)]
        left += sum(before[tag] for tag in ours)
        kept += sum(after[tag] for tag in ours)
        theirs = [t for t, n in before.items() if n >= captions / 2 and after[t] <= n / 10]
        bound += len(theirs)
        missed += [(str(concept), tag) for tag in theirs if not out.fullmatch(tag)]
    assert left > 500 and bound >= 10
    assert kept / left < 0.08
    assert len(missed) <= 0.3 * bound, missed
