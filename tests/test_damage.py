"""Whatever is damaged in a run, the same commands make it whole again, to the same numbers."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from world import HERE, STAGES, run, tiny

from lycoris_bench.diffusion import latent_files
from lycoris_bench.plan import Plan, plan
from lycoris_bench.sealed import SealError, check, seal
from lycoris_bench.store import Store

LINE = ("train", "generate", "score")
CARD = "checkpoints/lora/seed-23/epoch-001.json"


@pytest.fixture(scope="module")
def asked() -> Plan:
    return plan(tiny(
        concepts=["toys/bunny"], epochs=[1], sampling={"images": 1, "steps": 1},
        scoring={"encoders": ["miniature-image", "miniature-gram"]},
        algorithms={"lora": {"lr": 2e-3, "dim": 4, "alpha": 2}},
    ))  # fmt: skip


@pytest.fixture(scope="module")
def whole(asked: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("whole"))
    outcomes = run(asked, store, LINE)
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes
    return store


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
        (IMAGE, flip), (IMAGE, cut), (BASE, flip), (FEATURES, flip), (FEATURES, cut), (ROWS, flip),
        (ROWS, cut),
    ],
    ids=lambda value: getattr(value, "__name__", str(value).rpartition("/")[2]),
)  # fmt: skip
def test_damage_is_noticed_named_and_mended(
    asked: Plan, whole: Store, tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(whole.root, tmp_path / "run")
    store = Store(tmp_path / "run")
    damage(next(store.root.glob(file)))
    for folder in ANEW[file]:  # so that the damaged file is what later work is made of
        shutil.rmtree(store.root / folder)
    said = [outcome.failed for outcome in run(asked, store, LINE).values()]
    said += [outcome.failed for outcome in run(asked, store, LINE).values()]
    assert not any(said[len(LINE) :])  # the second time nothing is left to mend
    for sentence in (sentence for failed in said for sentence in failed.values()):
        assert "run 'lycoris-bench" in sentence
    mine, theirs = (one.frame(one.table("metrics")) for one in (store, whole))
    assert mine is not None and theirs is not None
    pd.testing.assert_frame_equal(mine[0], theirs[0], check_exact=True)


def test_damaged_weights_are_not_drawn_with(asked: Plan, whole: Store, tmp_path: Path) -> None:
    """The size and the time of the file are as they were: only its checksum tells."""
    shutil.copytree(whole.root, tmp_path / "run")
    store, checkpoint = Store(tmp_path / "run"), asked.checkpoints[1]
    time = store.checkpoint(checkpoint).stat().st_mtime_ns
    flip(store.checkpoint(checkpoint))
    os.utime(store.checkpoint(checkpoint), ns=(time, time))
    shutil.rmtree(store.root / "images/lora")
    outcome = STAGES["generate"](asked, store, HERE)
    assert "run 'lycoris-bench train' to make it anew" in outcome.failed[str(checkpoint)]
    assert not list((store.root / "images/lora").rglob("*.png"))
    assert STAGES["train"](asked, store, HERE).done == 1
    assert not STAGES["generate"](asked, store, HERE).failed


def test_features_at_odds_with_their_index_are_made_anew(
    asked: Plan, whole: Store, tmp_path: Path
) -> None:
    """As an earlier version left them: ten rows for five images."""
    from safetensors.numpy import load, save

    shutil.copytree(whole.root, tmp_path / "run")
    store = Store(tmp_path / "run")
    path = next((store.root / "features/dataset").iterdir())
    features, about = load(path.read_bytes())["features"], check(path.read_bytes())
    path.write_bytes(seal(save({"features": features.repeat(2, axis=0)}, about)))
    shutil.rmtree(store.root / "metrics")
    assert not STAGES["score"](asked, store, HERE).failed
    pd.testing.assert_frame_equal(
        store.frame(store.table("metrics"))[0],  # type: ignore[index]
        whole.frame(whole.table("metrics"))[0],  # type: ignore[index]
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
    path.write_bytes(seal(save({latent_files.NAME: torch.ones(4, 8, 8)})))
    assert latent_files.read(path).shape == (4, 8, 8)
    flip(path)
    with pytest.raises(SealError, match=f"{path}.*train again to make them anew"):
        latent_files.read(path)
