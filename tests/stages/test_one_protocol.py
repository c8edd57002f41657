"""What may be ranked together, by runs of the whole line: one study's configurations, and studies
of one protocol; never images that were drawn unlike."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.analysis.pipeline import analyze_tables
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.unlike import protocol_parts
from lycoris_bench.cli import main
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run import environment, manifest
from lycoris_bench.run.store import Store
from lycoris_bench.study.places import locate
from tests.support.world import HERE, STAGES, run, tiny

pytestmark = [pytest.mark.study, pytest.mark.usefixtures("undrawn")]

LORA = {"lr": 2e-3, "dim": 2, "alpha": 1, "vary": [{"lr": 1e-3}, {"captions": ".short"}]}
MINIATURE = locate("package:miniature", Path())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, quick_base: str) -> Path:
    """A base model, and a toy whose images have two captions each."""
    root = tmp_path_factory.mktemp("world")
    shutil.copytree(quick_base, root / "base_model")
    for part in ("dataset", "heldout"):
        shutil.copytree(MINIATURE / part / "toys/bunny", root / part / "toys/bunny")
    shutil.copy(MINIATURE / "dataset/concepts.toml", root / "dataset")
    for path in (root / "dataset").rglob("*.txt"):
        path.with_suffix(".short").write_text(path.read_text().split(",")[0].split(" on ")[0])
    return root


def asked(root: Path, name: str, **sampling: Any) -> Plan:
    return plan(tiny(
        name=name, **{part: str(root / part) for part in ("base_model", "dataset", "heldout")},
        concepts=["toys/bunny"], epochs=[1], algorithms={"lora": LORA},
        sampling={"steps": 1, "images": 2, "width": 16, "height": 16, **sampling},
    ))  # fmt: skip


@pytest.fixture(scope="module")
def long(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Configurations of other rates and other captions, analyzed."""
    store = Store(tmp_path_factory.mktemp("long"))
    made = asked(world, "long")
    store.describe(made.study.toml(), {})  # as every command does before its stage
    outcomes = run(made, store)
    assert not any(outcome.failed or outcome.warnings for outcome in outcomes.values()), outcomes
    return store


def rows(store: Store) -> pd.DataFrame:
    return pd.read_parquet(store.table("metrics"))


def beside(made: Plan, long: Store, folder: Path) -> Store:
    """A run of the base model, real images and one checkpoint, which is not trained again."""
    store = Store(folder)
    shutil.copytree(long.root / "checkpoints", folder / "checkpoints")
    run(made, store, ("train", "generate", "score"))
    return store


def test_configurations_of_one_study_are_ranked_together(long: Store) -> None:
    """Whatever they were trained with. Their own captions are other texts: that is set aside."""
    scores = pd.read_parquet(long.table("scores"))
    assert set(scores["configuration"]) == {"lora", "lora-lr0.001", "lora-short"}
    assert scores.groupby(["metric", "encoder", "prompt_type"]).size().unique().tolist() == [3]
    of_text = scores[scores["metric"] == "text_similarity"]
    assert set(of_text["prompt_type"]) == {"trigger", "alter", "style"}
    assert "train" in set(scores[scores["metric"] == "image_similarity"]["prompt_type"])
    refused = [r["sentence"] for r in json.loads(long.findings.read_text())["refusals"]]
    assert any(s.startswith("Text similarity on train prompts is not ranked") for s in refused)


def test_two_studies_of_other_steps_are_not(
    world: Path, long: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = asked(world, "short", steps=2)
    table = pd.concat([rows(long), rows(beside(short, long, tmp_path / "run"))])
    said = r"\(study long, .* \(study short, .* cannot be ranked together: steps 1 against 2\."
    with pytest.raises(BenchError, match=said):
        rank_scores(table)
    with pytest.raises(BenchError, match=said):
        analyze_tables(table, run_tables.factors(short.study.configurations))
    shutil.copytree(long.root, tmp_path / "both")
    both = Store(tmp_path / "both")
    both.put_frame(both.table("metrics"), table)
    assert main.call(main.command(), ["analyze", str(both.root)]) == 2
    assert "cannot be ranked together: steps 1 against 2." in capsys.readouterr().err


def test_the_same_in_another_folder_has_the_same_fingerprints(
    world: Path, long: Store, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(world, tmp_path / "elsewhere"))
    other = rows(beside(asked(moved, "moved"), long, tmp_path / "run"))
    drop = ["study"]
    pd.testing.assert_frame_equal(
        rows(long).drop(columns=drop), other.drop(columns=drop), check_exact=True
    )
    table = pd.concat([rows(long), other.assign(configuration=other["configuration"] + "-again")])
    ranked = table[~table["configuration"].str.startswith(("base", "real"))]
    texts = (ranked["metric"] == "text_similarity") & (ranked["prompt_type"] == "train")
    assert set(rank_scores(ranked[~texts])["study"]) == {"long", "moved"}


def test_the_table_says_how_images_were_drawn(long: Store) -> None:
    table = rows(long)
    drawn = table[table["configuration"] != "real"]
    for text in drawn["protocol"]:
        parts = protocol_parts(text)
        assert (parts["sampler"], parts["steps"], parts["width"]) == ("DDIM", 1, 16)
    assert set(table[table["configuration"] == "real"]["protocol"]) == {""}
    assert drawn.groupby("prompt_type")["protocol"].nunique().eq(1).all()
    page = long.report.read_text(encoding="utf-8")
    assert "<dt>images</dt><dd>sampler DDIM, steps 1, guidance 4.0, width 16" in page
    assert "protocol" not in pd.read_csv(long.table("metrics").with_suffix(".csv"))
    per_image = pd.read_parquet(next(long.root.glob("metrics/**/*-images.parquet")))
    assert "protocol" not in per_image


def test_what_scored_the_rows_is_kept_and_said_where_it_differs(
    world: Path, long: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Store(shutil.copytree(long.root, tmp_path / "run"))
    place = next(here.root.glob("metrics/lora/**/*.json"))
    about = manifest.checked(place)
    assert {key: about[key] for key in ("device", "versions")} == environment.scored_on("cpu")
    page = here.report.read_text(encoding="utf-8")
    for weights, sha256 in about["encoders"].values():
        assert f"{weights}, SHA-256 {sha256}" in page and len(sha256) == 64
    about["versions"]["torch"] = "1.0"
    here.write(place, manifest.sealed({**about, "device": "cuda (Tesla)"}))
    outcome = STAGES["analyze"](asked(world, "long"), here, HERE)
    said = outcome.warnings["rows"]
    assert (outcome.status, outcome.failed) == (0, {})
    assert said.startswith("the 5 tables of rows were not scored alike: device (")
    assert "cuda (Tesla): 1" in said and "torch (" in said and "1.0: 1" in said
    assert "timm" not in said
    page = here.report.read_text(encoding="utf-8")
    assert "<dt>warning on rows</dt>" in page and "(4 tables); cuda (Tesla) (1 table)" in page
    assert main.call(main.command(), ["analyze", str(here.root)]) == 0
    assert f"analyze: rows: warning: {said}" in capsys.readouterr().err
    place.unlink()  # a run of before: not known is no warning
    assert STAGES["analyze"](asked(world, "long"), here, HERE).warnings == {}
