"""The identities of shipped studies, as they were in 0.5.0: while they stay, what older versions
have trained, drawn and scored stays valid. A change that moves one is made on purpose, and said in
the change log."""

from pathlib import Path

import pytest

from lycoris_bench.files.identity import uid
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import load
from lycoris_bench.study.records import REAL_IMAGES

KNOWN = {
    "demo": {
        "weights": "412553fd0359d33f",
        "images": "bf1b71588786a867",
        "first images": "ed323d9d7b652c5c",
        "rows": "a2d78ee4d107ce55",
        "tables": "db7a199b71fd8442",
    },
    "miniature": {
        "weights": "c7979477846ed21f",
        "images": "f66f8bc374086646",
        "first images": "3e39fb8ddf3019f0",
        "rows": "16a814c652a343cf",
        "tables": "a0d432306cbb551c",
    },
}


@pytest.mark.parametrize("name", KNOWN)
def test_they_stay(name: str, tmp_path: Path) -> None:
    asked = plan(load(f"package:configs/{name}.toml"))
    base, *others = asked.checkpoints
    images = [
        (asked.drawn_by(c), asked.prompts_uid(c), [*map(asked.asked, asked.prompt_sets_of(c))])
        for c in asked.checkpoints
    ]
    rows = [
        scored_rows.inputs(asked, Store(tmp_path), source)
        for source in (REAL_IMAGES, base, *others[:3])
    ]
    assert KNOWN[name] == {
        "weights": uid([asked.checkpoint_uid(c) for c in asked.checkpoints]),
        "images": uid(images),
        "first images": uid([job.uid for job in asked.jobs(others[0])]),
        "rows": uid(rows),
        "tables": uid(scored_rows.identities(asked)),
    }
