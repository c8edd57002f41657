"""A run folder is analyzed as it is: no dataset, no base model, no images."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis import run_tables
from lycoris_bench.analysis.pipeline import Analysis, analyze_tables
from lycoris_bench.analysis.stored_run import open_run
from lycoris_bench.cli import main
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.study import load as studies
from lycoris_bench.study.records import MetricRow
from tests.support.pages import without_scripts

pytestmark = pytest.mark.usefixtures("undrawn")

CLASSES = {"bunny": 0.1, "panda": 0.2}
STUDY = """name = "toy"
base_model = "nowhere/at-all"
dataset = "no such folder"
prompts = "nor this"
epochs = [10]
[algorithms.lora]
lr = 1e-3
dim = 4
vary = [{ lr = 1e-4 }, { captions = ".no-tags" }]
[algorithms.full]
lr = 1e-5
capacity = 3
"""


def scored(name: str, class_name: str, value: float, **other: object) -> dict[str, object]:
    about: dict[str, object] = {
        "study": "toy", "configuration": name, "algorithm": name.split("-")[0], "seed": 23,
        "epoch": 10, "strength": 1.0, "category": "toys", "class_name": class_name,
        "subclass": "", "prompt_type": "trigger", "metric": "image_similarity", "encoder": "eye",
        "resize": "crop", "value": value, "better": "higher", "n": 3, "fingerprint": class_name,
    }  # fmt: skip
    return dict(MetricRow(**{**about, **other}).record())


@pytest.fixture
def run(tmp_path: Path) -> Store:
    """Three of the four configurations of the study, of two classes; no base, no real images."""
    store = Store(tmp_path / "run")
    rows = [
        scored(name, one, value + shift)
        for one, shift in CLASSES.items()
        for name, value in (("lora", 0.5), ("lora-lr0.0001", 0.3), ("full", 0.4))
    ]
    store.put_frame(store.table("metrics"), pd.DataFrame(rows))
    store.write(store.root / "study.toml", STUDY)
    return store


def test_a_folder_is_enough(run: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.call(main.command(), ["analyze", str(run.root)]) == 0
    assert str(run.report) in capsys.readouterr().out
    scores = pd.read_parquet(run.table("scores")).set_index(["configuration", "class"])["score"]
    expected = {"lora": 1.0, "full": 0.5, "lora-lr0.0001": 0.0}
    assert scores.to_dict() == {(n, c): s for n, s in expected.items() for c in CLASSES}
    page = run.report.read_text()
    assert "no floor and no ceiling" in page and "base model</span>" not in page
    compared = page[page.index('id="compared"') :]
    assert "lora-no-tags" not in compared  # it has no scores, and the first lines say so
    assert "<li>lora-no-tags has no score at epoch 10 and is left out.</li>" in page
    assert not (run.root / "images").exists()


def test_the_study_and_the_provenance_stay(run: Store) -> None:
    place = run.write_json(run.root / "provenance.json", {"source": "elsewhere"})
    run_tables.analyze_folder(run)
    assert (run.root / "study.toml").read_text() == STUDY
    assert run.read_json(place) == {"source": "elsewhere"}
    assert "elsewhere" in run.report.read_text()


def test_a_number_of_a_whole_checkpoint_counts_over_all_alone(run: Store) -> None:
    """A row without category is no concept: it has its place in the mean over all only."""
    table = pd.read_parquet(run.table("metrics"))
    whole = [
        scored(
            name, "", value, category="", metric="frechet_distance", better="lower", fingerprint="w"
        )
        for name, value in (("lora", 3.0), ("full", 1.0), ("lora-lr0.0001", 2.0))
    ]
    run.put_frame(run.table("metrics"), pd.concat([table, pd.DataFrame(whole)]))
    run_tables.analyze_folder(run)
    means = pd.read_parquet(run.table("aggregate"))
    distance = means[means["metric"] == "frechet_distance"]
    assert set(distance["category"]) == {"all categories"}
    assert distance.set_index("configuration")["score"].to_dict() == {
        "lora": 0.0, "lora-lr0.0001": 0.5, "full": 1.0,
    }  # fmt: skip


def test_factors_say_what_varies() -> None:
    made = studies.load("package:configs/paper.toml").configurations
    known = run_tables.factors(made)
    assert "captions" not in known  # they are the same for all
    levels = known.set_index("configuration")["lr_level"]
    for algorithm in ("lora", "loha", "lokr"):  # the paper's D.6: the default rate is level 2
        part = levels[known.set_index("configuration")["algorithm"] == algorithm]
        np.testing.assert_array_equal(np.bincount(part), [0, 1, 5, 1])
    known = run_tables.factors(studies.load("package:configs/captions.toml").configurations)
    assert known["captions"].value_counts().to_dict() == {"main": 4, "no-tags": 4, "all-tags": 4}


@pytest.mark.parametrize(("damage", "said"), [
    (lambda run: run.table("metrics").unlink(), "no metrics.parquet; run 'lycoris-bench score'"),
    (lambda run: run.table("metrics").write_bytes(b"PAR1"), "holds a damaged metrics.parquet; run"),
    (lambda run: (run.root / "study.toml").unlink(), "it says what each configuration is"),
])  # fmt: skip
def test_what_is_missing_is_a_sentence(run: Store, damage, said: str) -> None:
    damage(run)
    with pytest.raises(StoreError, match=said):
        run_tables.analyze_folder(run)


@pytest.mark.parametrize("line", ["[algorithms.vera]\nlr = 0.1", "[scoring]\nmetrics = ['mine']",
                                  "[scoring]\nencoders = ['mine']"])  # fmt: skip
def test_a_run_made_with_a_plugin_says_that_it_is_needed(run: Store, line: str) -> None:
    """Of a run folder alone: in a file that the user wrote the name may be a mistake."""
    run.write(run.root / "study.toml", f"{STUDY}{line}\n")
    with pytest.raises(studies.StudyError, match="unknown .*; a name from a plug-in needs .*--plu"):
        run_tables.analyze_folder(run)
    with pytest.raises(studies.StudyError, match="unknown .*--plugin FILE"):
        print(open_run(run.root).study)
    with pytest.raises(studies.StudyError) as said:
        studies.load(run.root / "study.toml")
    assert "plug-in" not in str(said.value)


def test_a_folder_of_runs_says_which(run: Store) -> None:
    with pytest.raises(StoreError, match="it has the runs: run$"):
        run_tables.analyze_folder(Store(run.root.parent))


def test_a_folder_that_is_no_run_is_called_so_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photographs").mkdir()
    assert main.call(main.command(), ["analyze", str(tmp_path / "photographs")]) == 2
    said = "photographs is no run folder: it holds no study.toml and no metrics.parquet\n"
    assert capsys.readouterr().err.endswith(said)
    assert not list((tmp_path / "photographs").iterdir())
    assert main.call(main.command(), ["analyze", str(tmp_path / "nope")]) == 2
    said = "nope: there is no such study file or run folder\n"
    assert capsys.readouterr().err.endswith(said)


def test_a_folder_takes_no_options_of_a_study(
    run: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.call(main.command(), ["analyze", str(run.root), "--set", "name=other"]) == 2
    assert "go with a study file" in capsys.readouterr().err


@pytest.mark.parametrize(("damage", "said"), [
    (lambda t: t.drop(columns=["value", "seed"]), "lacks the columns: seed, value$"),
    (lambda t: t[["n"]], "lacks the columns: study, configuration"),
    (lambda t: t.assign(value="high"), "column 'value' has values of another kind .string.; num"),
    (lambda t: t.assign(epoch="last"), "column 'epoch' has values of another kind"),
    (lambda t: t.assign(seed=23.5), "column 'seed' has fractions; whole numbers are needed"),
    (lambda t: t.assign(strength=True), "column 'strength' has values of another kind .boolean."),
    (lambda t: t.assign(category=7), "column 'category' has values of another kind .integer."),
    (lambda t: t.assign(configuration=None), "column 'configuration' has empty cells; texts"),
    (lambda t: t.assign(fingerprint=[None, *t["fingerprint"][1:]]), "'fingerprint' has empty"),
    (lambda t: t.assign(fingerprint=[" ", *t["fingerprint"][1:]]),
     "column 'fingerprint' is empty in 1 of 6 rows; it says which numbers may be compared: run"),
    (lambda t: t.assign(configuration=[" ", *t["configuration"][1:]]),
     "column 'configuration' is empty in 1 of 6 rows; a name is needed$"),
    (lambda t: t.assign(protocol="not json"),
     "column 'protocol' has 'not json'; a JSON object is needed, or nothing where it is not known"),
    (lambda t: t.assign(protocol="[1]"), r"column 'protocol' has '\[1\]'; a JSON object"),
    (lambda t: t.assign(better="bigger"), "better is bigger; allowed: higher, lower$"),
    (lambda t: t.assign(value=float("inf")), "has 6 infinite values"),
    (lambda t: t.assign(strength=float("nan")), "column 'strength' has empty cells"),
    (lambda t: t.assign(n=-1), "column 'n' has numbers below 1"),
    (lambda t: t.assign(epoch=-1), "column 'epoch' has numbers below 0"),
    (lambda t: t[:0], "holds no scores of a checkpoint; run 'lycoris-bench score'$"),
    (lambda t: t.assign(configuration="base"), "holds no scores of a checkpoint"),
    (lambda t: t.assign(value=float("nan")), "holds no scores of a checkpoint"),
])  # fmt: skip
def test_a_table_that_is_none_is_named(run: Store, damage, said: str) -> None:
    """Parquet that parses is no metric table yet: the sentence begins with the file."""
    place = run.table("metrics")
    run.put_frame(place, damage(pd.read_parquet(place)))
    with pytest.raises(BenchError, match=f"^{place}:? .*{said}"):
        run_tables.analyze_folder(run)
    assert not run.report.exists()


def test_a_configuration_that_the_study_lacks_is_named_with_the_file(run: Store) -> None:
    table = pd.read_parquet(run.table("metrics"))
    run.put_frame(run.table("metrics"), table.replace({"configuration": {"full": "mine"}}))
    said = rf"^{run.root}/study.toml has no configuration: mine; {run.root}/.* add it there"
    with pytest.raises(StoreError, match=said):
        run_tables.analyze_folder(run)


def test_a_provenance_that_is_none_is_left_out(run: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same table, which is analyzed once."""
    told: list[Any] = []

    @functools.cache
    def analyzed() -> Analysis:
        return analyze_tables(*told[0])

    def analysis(*given: Any, **_: Any) -> Analysis:
        told.append(given)
        return analyzed()

    monkeypatch.setattr(run_tables, "analyze_tables", analysis)
    for content in (None, "[]", "7", '"text"', "{", "null"):
        if content is not None:
            run.write(run.root / "provenance.json", content)
        assert run_tables.analyze_folder(run).done == 1
    provenances = [given[3] for given in told]
    assert provenances == 6 * provenances[:1]


def test_the_words_follow_what_real_images_are(run: Store) -> None:
    """study.toml says whether any were held out."""
    table = pd.read_parquet(run.table("metrics"))
    beside = [
        scored(name, one, value, algorithm=name, seed=None, epoch=None)
        for name, value in (("base", 0.1), ("real", 0.9)) for one in CLASSES
    ]  # fmt: skip
    run.put_frame(run.table("metrics"), pd.concat([table, pd.DataFrame(beside)]))
    run_tables.analyze_folder(run)
    page = run.report.read_text()
    assert "held-out" not in page
    assert "No images were held out from training" in page
    assert "the training images among themselves are the ceiling of fidelity" in page
    run.write(run.root / "study.toml", STUDY.replace("epochs", 'heldout = "there"\nepochs'))
    run_tables.analyze_folder(run)
    page = without_scripts(run.report.read_text())
    assert "held-out real images are the ceiling of fidelity" in page
    assert "half" not in page


def test_ceilings_that_are_none_are_taken_out_of_older_tables() -> None:
    names = ["image_similarity", "centroid_distance", "vendi", "style_loss"]
    rows = [
        scored(who, "bunny", 0.4, metric=metric, algorithm=who)
        for who in ("lora", "base", "real") for metric in names
    ]  # fmt: skip
    left = run_tables.without_false_ceilings(pd.DataFrame(rows))
    assert len(left) == 3 * 4 - 2
    assert set(left[left["configuration"] == "real"]["metric"]) == {
        "image_similarity",
        "style_loss",
    }
