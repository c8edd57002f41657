"""A study of two concepts and one adapter, run through the Python API up to its metric table."""

from pathlib import Path

import pytest
import tomli_w

import lycoris_bench as lb
from tests.support.world import table


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory, quick_base: str) -> Path:
    """The study file."""
    path = tmp_path_factory.mktemp("api") / "small.toml"
    small = table(
        name="small", concepts=["toys/bunny", "styles/woodcut"], epochs=[1], base_model=quick_base,
        algorithms={"lora": {"lr": 2e-3, "dim": 2}},
        sampling={"images": 2, "prompt_types": ["train", "alter", "style"]},
        training={"images_per_class": 1},
    )  # fmt: skip
    path.write_text(tomli_w.dumps(small))
    return path


@pytest.fixture(scope="session")
def small_run(small_study: Path) -> Path:
    """The run folder; it is read by several tests, and written by none of them."""
    run = small_study.parent / "run"
    told: list[tuple[str, int, int]] = []
    for stage in ("train", "generate", "score"):
        outcome = lb.run_stage(
            stage, lb.load_study(small_study), run, device="cpu",
            progress=lambda *step: told.append(step),
        )  # fmt: skip
        assert outcome.done and not outcome.failed
    assert sum(steps for stage, steps, _ in told if stage == "score") == 3 == told[-1][2]
    return run
