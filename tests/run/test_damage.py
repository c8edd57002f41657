"""Whatever is damaged in a run, the same commands make it whole again, to the same numbers."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.files.sealed import SealError, check, seal
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import parse
from lycoris_bench.training import latent_cache
from tests.support.shared import BRIEF
from tests.support.world import HERE, STAGES, run, table, tiny

pytestmark = pytest.mark.usefixtures("undrawn")

LINE = ("train", "generate", "score")
LORA = BRIEF["algorithms"]["lora"]
CARD = "checkpoints/lora/seed-23/epoch-001.json"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * 0.7)] ^= 16
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def lose(key: str) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        card = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in card.items() if k != key}))

    work.__name__ = f"lose {key}"
    return work


WEIGHTS = "checkpoints/lora/seed-23/epoch-001.safetensors"
IMAGE = "images/lora/seed-23/epoch-001/toys/bunny/train/00000.png"
BASE = "images/base/toys/bunny/style/00000.png"
FEATURES = "features/lora/seed-23/epoch-001/miniature-image-*.safetensors"
ROWS = "metrics/lora/seed-23/epoch-001.parquet"
ANEW = {
    WEIGHTS: ["images/lora"], IMAGE: ["features", "metrics"], BASE: ["features", "metrics"],
    FEATURES: ["metrics"], CARD: [], ROWS: [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        (WEIGHTS, flip), (WEIGHTS, cut), (CARD, cut), (CARD, lose("bytes")), (CARD, lose("cost")),
        (CARD, lose("sha256")),
        (IMAGE, flip), (IMAGE, cut), (BASE, flip), (FEATURES, flip), (FEATURES, cut), (ROWS, flip),
        (ROWS, cut),
    ],
    ids=lambda value: getattr(value, "__name__", str(value).rpartition("/")[2]),
)  # fmt: skip
def test_damage_is_noticed_named_and_mended(
    brief: Plan, finished: Store, copied: Store, file: str, damage: Callable[[Path], None]
) -> None:
    damage(next(copied.root.glob(file)))
    for folder in ANEW[file]:  # so that the damaged file is what later work is made of
        shutil.rmtree(copied.root / folder)
    said = [outcome.failed for outcome in run(brief, copied, LINE).values()]
    said += [outcome.failed for outcome in run(brief, copied, LINE).values()]
    assert not any(said[len(LINE) :])  # the second time nothing is left to mend
    for sentence in (sentence for failed in said for sentence in failed.values()):
        assert "run 'lycoris-bench" in sentence
    mine, theirs = (one.frame(one.table("metrics")) for one in (copied, finished))
    assert mine is not None and theirs is not None
    pd.testing.assert_frame_equal(mine[0], theirs[0], check_exact=True)


def test_damaged_weights_are_not_drawn_with(brief: Plan, copied: Store) -> None:
    """The size and the time of the file are as they were: only its checksum tells."""
    checkpoint = brief.checkpoints[1]
    time = copied.checkpoint(checkpoint).stat().st_mtime_ns
    flip(copied.checkpoint(checkpoint))
    os.utime(copied.checkpoint(checkpoint), ns=(time, time))
    for folder in ("images/lora", "metrics"):
        shutil.rmtree(copied.root / folder)
    outcome = STAGES["generate"](brief, copied, HERE)
    assert "run 'lycoris-bench train' to make it anew" in outcome.failed[str(checkpoint)]
    assert not list((copied.root / f"images/{checkpoint}").rglob("*.png"))
    assert STAGES["train"](brief, copied, HERE).done == 1
    assert not STAGES["generate"](brief, copied, HERE).failed


def test_features_at_odds_with_their_index_are_made_anew(
    brief: Plan, finished: Store, copied: Store
) -> None:
    """As an earlier version left them: ten rows for five images."""
    from safetensors.numpy import load, save

    path = next((copied.root / "features/dataset").iterdir())
    features, about = load(path.read_bytes())["features"], check(path.read_bytes())
    path.write_bytes(seal(save({"features": features.repeat(2, axis=0)}, about)))
    shutil.rmtree(copied.root / "metrics")
    assert not STAGES["score"](brief, copied, HERE).failed
    pd.testing.assert_frame_equal(
        copied.frame(copied.table("metrics"))[0],
        finished.frame(finished.table("metrics"))[0],
        check_exact=True,
    )


def test_a_seal_tells_every_changed_bit() -> None:
    import numpy as np
    from safetensors.numpy import load, save

    arrays = {"b": np.arange(3, dtype=np.float32), "a": np.ones((1, 2), np.int64)}
    content = seal(save(arrays, {"uid": "1"}))
    assert check(content) == {"uid": "1"} and len(load(content)["b"]) == 3
    for place in range(len(content)):
        for bit in (1, 128):
            changed = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
            with pytest.raises(SealError):
                check(changed)
    for size in range(0, len(content), 7):
        with pytest.raises(SealError):
            check(content[:size])
    with pytest.raises(SealError, match="no checksum"):
        check(save(arrays))


def test_a_damaged_latent_is_named(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save

    path = tmp_path / "a-64x64.safetensors"
    path.write_bytes(seal(save({latent_cache.NAME: torch.ones(4, 8, 8)})))
    assert latent_cache.read(path).shape == (4, 8, 8)
    flip(path)
    with pytest.raises(SealError, match=f"{path}.*train again to make them anew"):
        latent_cache.read(path)


@pytest.mark.parametrize(
    "place", [IMAGE, FEATURES, "checkpoints/lora/seed-23/state.safetensors", CARD, ROWS]
)
def test_a_pipe_in_the_place_of_a_file_is_never_waited_for(
    brief: Plan, copied: Store, place: str
) -> None:
    """It is named or passed by; what it stands in the place of is not drawn over it."""
    path = next(copied.root.glob(place), copied.root / place)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    if "state" in place:
        copied.checkpoint(brief.checkpoints[1]).unlink()
    if place != ROWS:
        shutil.rmtree(copied.root / "metrics")
    said = [sentence for o in run(brief, copied, LINE).values() for sentence in o.failed.values()]
    assert any("is a pipe" in sentence for sentence in said), said
    assert path.is_fifo()


def test_a_limit_leaves_the_other_rows_in_the_table(copied: Store, quick_base: str) -> None:
    two = {"algorithms": {"lora": {**LORA, "vary": [{"dim": 2}]}}, "base_model": quick_base}
    more = tiny(**BRIEF | two)
    run(plan(more), copied, LINE)
    before = copied.frame(copied.table("metrics"))
    assert STAGES["score"](plan(more, limit=1), copied, HERE).done == 0
    after = copied.frame(copied.table("metrics"))
    assert before is not None and after is not None
    assert set(after[0]["configuration"]) == {"base", "real", "lora", "lora-dim2"}
    pd.testing.assert_frame_equal(before[0], after[0])


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [24]}, {"epochs": [3]}, {"sampling": {**BRIEF["sampling"], "strength": 0.5}},
        {"algorithms": {"lora": {**LORA, "lr": 1e-3}}}, {"heldout": None}, {},
    ],
    ids=str,
)  # fmt: skip
def test_a_run_folder_is_not_analyzed_with_numbers_of_another_study(
    copied: Store, quick_base: str, change: dict
) -> None:
    settings = table(**BRIEF | change, base_model=quick_base)
    made = plan(parse({k: v for k, v in settings.items() if v is not None}))
    copied.describe(made.study.toml(), {}, scored_rows.identities(made))  # as any command does
    if not change:
        assert run_tables.analyze_folder(copied).done == 1
        return
    with pytest.raises(StoreError, match="other settings or data.*lora/seed-23/epoch-001"):
        run_tables.analyze_folder(copied)


@pytest.mark.study
def test_a_run_folder_is_not_analyzed_with_numbers_of_other_data(
    brief: Plan, tmp_path: Path
) -> None:
    """A caption was changed under the same path, and another command ran since."""
    source = Path(brief.study.settings.dataset)
    data = tmp_path / "data"
    shutil.copytree(source / "toys/bunny", data / "toys/bunny")
    shutil.copy(source / "concepts.toml", data)
    settings = {**brief.study.settings.model_dump(exclude_none=True), "dataset": str(data)}
    store = Store(tmp_path / "run")
    first = plan(parse(settings))
    run(first, store, LINE)
    store.describe(first.study.toml(), {}, scored_rows.identities(first))
    assert run_tables.analyze_folder(store).done == 1
    caption = next((data / "toys/bunny").glob("*.txt"))
    caption.write_text(caption.read_text() + ", at night")
    second = plan(parse(settings))
    store.describe(second.study.toml(), {}, scored_rows.identities(second))
    with pytest.raises(StoreError, match="other settings or data"):
        run_tables.analyze_folder(store)
