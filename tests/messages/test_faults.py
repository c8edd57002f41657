"""Bad images, hostile names, damaged files and diverging losses: named, and the rest goes on."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lycoris_bench.data.images import DataError
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import Study
from lycoris_bench.study.places import locate
from lycoris_bench.training.run import TrainingRun
from tests.support.shared import BRIEF
from tests.support.world import HERE, STAGES, run, tiny

pytestmark = pytest.mark.usefixtures("undrawn")

LORA = BRIEF["algorithms"]["lora"]
ONE = {"lora": LORA}
SOURCE = locate("package:miniature/dataset", Path())
NAMES = ["hat, pixel art", "naïve ☃", "%2e%2e", "!<b> & 'a\""]


def odd_images() -> dict[str, bytes]:
    """One file of each odd kind that is nevertheless an image."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (40, 56, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(rng.integers(0, 65535, (40, 40), dtype=np.uint16))
    clear = picture.convert("RGBA")
    clear.putalpha(100)
    kinds = {
        "rgba.png": (clear, {}),
        "palette.png": (picture.convert("P"), {"transparency": 3}),
        "turned.jpg": (picture, {"exif": turned}),
        "deep.png": (deep, {}),
        "one.png": (Image.new("RGB", (1, 1), "red"), {}),
    }
    found = {}
    for name, (image, options) in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, "PNG" if name.endswith("png") else "JPEG", **options)
        found[name] = buffer.getvalue()
    return found


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Classes of hostile names, each with every odd image."""
    folder = tmp_path / "data"
    table = ""
    for number, name in enumerate(NAMES):
        place = folder / "toys" / name
        place.mkdir(parents=True)
        for file, content in odd_images().items():
            (place / file).write_bytes(content)
            (place / file).with_suffix(".txt").write_text(f"olis{number} toy, beach")
        key = name.replace('"', '\\"')
        table += (
            f'["toys/{key}"]\ntrigger = "olis{number}"\nclass_word = "toy"\ndescription = "toy"\n'
        )
    (folder / "concepts.toml").write_text(table)
    return folder


def with_data(dataset: Path, **changes: object) -> Study:
    return tiny(dataset=str(dataset), concepts=["*"], algorithms=ONE, epochs=[1], **changes)


@pytest.mark.study
def test_odd_images_and_hostile_names_go_through_the_whole_line(
    dataset: Path, tmp_path: Path, quick_base: str
) -> None:
    heldout = shutil.copytree(dataset, tmp_path / "held out")
    for image in heldout.rglob("*.[pj]*"):
        image.write_bytes(image.read_bytes() + b"of another file")
    study = with_data(
        dataset, base_model=quick_base, heldout=str(heldout),
        scoring={"encoders": ["miniature-image"]},
        sampling={"prompt_types": ["trigger", "alter"], "steps": 1},
    )  # fmt: skip
    store = Store(tmp_path / "run")
    outcomes = run(study, store)
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes
    found = store.frame(store.table("metrics"))
    assert found is not None and set(found[0]["class"]) == set(NAMES)
    assert not [p for p in tmp_path.rglob("*") if tmp_path not in p.resolve().parents]
    page = store.report.read_text(encoding="utf-8")
    assert "!<b>" not in page and "!&lt;b&gt;" in page


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "toys/hat, pixel art/one.png").write_bytes(b"nonsense"), "one.png"),
        (
            lambda f: (f / "toys/hat, pixel art/one.txt").unlink(),
            "captions are missing: .*one.txt;",
        ),
        (lambda f: (f / "toys/hat, pixel art/one.txt").write_text("  "), "one.txt is empty"),
        (lambda f: (f / "toys/hat, pixel art/one.txt").write_bytes(b"\xe9"), "not UTF-8"),
        (lambda f: (f / "toys/empty").mkdir(), "toys/empty' has no images"),
        (lambda f: shutil.rmtree(f / "toys"), "it is empty"),
        (lambda f: shutil.rmtree(f), "no such folder"),
    ],
)
def test_a_damaged_dataset_is_a_sentence(dataset: Path, damage: object, said: str) -> None:
    damage(dataset)
    with pytest.raises(DataError, match=said.replace("(", r"\(")):
        plan(with_data(dataset))


@pytest.mark.study
def test_a_loss_that_becomes_nan_is_marked_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_base: str
) -> None:
    steps = 0
    honest = TrainingRun.loss

    def explodes(training: TrainingRun, *about: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return honest(training, *about) * (float("nan") if steps == fatal else 1.0)

    asked = plan(tiny(
        base_model=quick_base, concepts=["toys/bunny"], epochs=[1, 2],
        sampling={"prompt_types": ["trigger"], "images": 1, "steps": 1},
        scoring={"encoders": ["miniature-image"], "metrics": ["image_similarity"]},
    ))  # fmt: skip
    store = Store(tmp_path)
    fatal = int(asked.steps(1) * 1.5) + 1  # in the second epoch
    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "loss", explodes)
        outcome = STAGES["train"](asked, store, HERE)
    cards = [store.card(checkpoint) for checkpoint in asked.checkpoints[1:]]
    states = [card.status for card in cards if card]
    assert states == ["done", "diverged", "done", "done"], "it exploded in the second epoch"
    assert outcome.status == 1
    assert "loss is not finite in epoch" in outcome.failed["lora/seed-23/epoch-002"]
    assert STAGES["train"](asked, store, HERE).done == 0, "a diverged run is not tried again"
    drawn = STAGES["generate"](asked, store, HERE)
    assert "diverged" in drawn.failed["lora/seed-23/epoch-002"] and drawn.done == 4
    STAGES["score"](asked, store, HERE)
    report = STAGES["analyze"](asked, store, HERE)
    assert report.status == 1 and "diverged" in report.failed["lora/seed-23/epoch-002"]
    assert "diverged" in store.report.read_text(encoding="utf-8")


def test_damaged_and_foreign_checkpoints(copied: Store, quick_base: str) -> None:
    two = {"lora": {**LORA, "vary": [{"dim": 2}]}}
    asked, store = plan(tiny(**BRIEF | {"algorithms": two, "base_model": quick_base})), copied
    assert STAGES["train"](asked, store, HERE).done == 2, "those of the other configuration"
    for folder in ("images", "metrics"):
        shutil.rmtree(store.root / folder)
    cut, foreign = (store.checkpoint(checkpoint) for checkpoint in asked.checkpoints[1:3])
    whole, other = cut.read_bytes(), foreign.read_bytes()
    cut.write_bytes(whole[:1000])
    foreign.write_bytes(bytes(foreign.stat().st_size))
    drawn = STAGES["generate"](asked, store, HERE)
    assert set(drawn.failed) == {"lora/seed-23/epoch-001", "lora/seed-23/epoch-002"}
    assert all("run 'lycoris-bench train'" in why for why in drawn.failed.values())
    for why in drawn.failed.values():
        assert why.startswith("is damaged, or nothing vouches for its content; run")
    assert drawn.done == 3, "base and the other configuration are drawn"
    assert STAGES["train"](asked, store, HERE).done == 2
    assert cut.read_bytes() == whole, "the cut-off checkpoint is trained again, to the same weights"
    assert foreign.read_bytes() == other, "and one of the same size that is another's"


def test_lost_weights_are_said_to_be_missing(brief: Plan, copied: Store) -> None:
    checkpoint = brief.trained[0]
    copied.checkpoint(checkpoint).unlink()
    shutil.rmtree(copied.root / "metrics")
    said = STAGES["generate"](brief, copied, HERE).failed[str(checkpoint)]
    assert said == "is missing; run 'lycoris-bench train'"
    said = STAGES["train"](brief, copied, HERE).warnings[str(checkpoint)]
    assert said == "is missing; it is trained again"


def test_images_that_show_nothing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lycoris_bench.sampling.sample import Images
    from lycoris_bench.stages import drawing

    real = drawing.sample

    def broken(*arguments: object, **keywords: object) -> Images:
        pixels, finite = real(*arguments, **keywords)
        pixels, finite = pixels.copy(), finite.copy()
        finite[0] = False
        pixels[1] = 128
        return Images(pixels, finite)

    asked, store = plan(tiny(sampling={"steps": 1}), limit=0), Store(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(drawing, "sample", broken)
        outcome = STAGES["generate"](asked, store, HERE)
    assert outcome.status == 1
    assert "is not finite" in outcome.failed["base"] and "is blank" in outcome.failed["base"]
    assert len(Status(asked, store).absent(asked.checkpoints[0])) == 4  # two a batch, two batches
    assert STAGES["generate"](asked, store, HERE).failed == {}
    assert not Status(asked, store).absent(asked.checkpoints[0])
