"""The Python API: its names, its laziness, its page, and one small study through it."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lycoris_bench as lb

CONCEPTS = ["toys/bunny", "styles/woodcut"]
ROOT = Path(__file__).parent.parent
ENCODERS = ["miniature-image", "miniature-image-text", "miniature-gram"]


@pytest.fixture(scope="module")
def rows(small_run: Path) -> pd.DataFrame:
    return lb.open_run(small_run).table("metrics")


def images(folder: Path, concept: str, kind: str, checkpoint: str = "lora/*/*") -> Path:
    [found] = (folder / "images").glob(f"{checkpoint}/{concept}/{kind}")
    return found


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("kind", ["train", "alter"])
def test_scores_of_a_folder_are_those_of_the_study(
    small_run: Path, rows: pd.DataFrame, concept: str, kind: str
) -> None:
    """Values, and fingerprints up to the protocol, of every metric of one concept and type."""
    category, class_name = concept.split("/")
    asked = rows[
        (rows["category"] == category) & (rows["class"] == class_name)
        & (rows["prompt_type"] == kind) & (rows["configuration"] == "lora")
    ]  # fmt: skip
    drawn = images(small_run, concept, kind)
    made = lb.score_images(
        drawn, reference=Path(lb.__file__).parent / "miniature/dataset" / concept,
        prompts=texts(small_run, drawn), encoders=ENCODERS[: 3 if category == "styles" else 2],
        diversity_per_prompt=kind == "alter", device="cpu",
    )  # fmt: skip
    made["metric"] = made["metric"].replace({"style_loss_to_dataset": "style_loss"})
    key = ["metric", "encoder", "resize"]
    both = asked.merge(made, on=key, suffixes=("", "_made"))
    assert len(both) == len(asked) >= 5
    np.testing.assert_allclose(both["value_made"], both["value"], rtol=1e-5)
    assert list(both["better_made"]) == list(both["better"])
    assert list(both["n_made"]) == list(both["n"])
    measured = [mark.partition("-")[0] for mark in both["fingerprint"]]
    assert list(both["fingerprint_made"]) == measured, "how a folder was drawn is not known"


def test_style_loss_is_against_the_image_of_the_same_name(
    small_run: Path, rows: pd.DataFrame
) -> None:
    drawn = images(small_run, "toys/bunny", "style")
    base = images(small_run, "toys/bunny", "style", "base")
    [value] = lb.score_images(drawn, base=base, encoders=["miniature-gram"])["value"]
    asked = rows[(rows["metric"] == "style_loss") & (rows["prompt_type"] == "style")]
    [expected] = asked[asked["configuration"] == "lora"]["value"]
    assert value == pytest.approx(expected, rel=1e-6)
    assert lb.score_images(base, base=base, encoders=["miniature-gram"])["value"].item() == 0


def texts(folder: Path, drawn: Path) -> list[str]:
    """The texts that a study compares the images of a folder with."""
    from lycoris_bench.planning.plan import plan

    asked = plan(lb.open_run(folder).study)
    [checkpoint] = asked.trained
    return [
        job.text for job in asked.jobs(checkpoint)
        if str(job.image_set.concept) == "/".join(drawn.parts[-3:-1])
        and job.image_set.prompt_type == drawn.name
    ]  # fmt: skip


def test_a_stage_goes_on_where_it_was(small_study: Path, small_run: Path) -> None:
    outcome = lb.run_stage("score", small_study, small_run)
    assert (outcome.done, outcome.skipped) == (0, 3)


def test_mistakes_are_sentences(small_study: Path, small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(lb.BenchError, match="unknown stage 'scores'; did you mean 'score'"):
        lb.run_stage("scores", small_study)
    for changed, said in (
        ({"workers": 0}, "workers is 0; a whole number from 1, or None, is allowed"),
        ({"workers": -1}, "workers is -1; a whole number"),
        ({"workers": "2"}, "workers is '2'; a whole number"),
        ({"limit": 0}, "limit is 0; a whole number from 1, or None, is allowed"),
        ({"study": None}, "study is None; the result of load_study"),
        ({"run": 5}, "run is 5; a path, or None"),
        ({"device": None}, "device is None; a text"),
        ({"progress": 1}, "progress is 1; a function"),
    ):
        with pytest.raises(lb.BenchError, match=said):
            lb.run_stage("score", **{"study": small_study, **changed})
    for overrides in ("a.b=1", [1], None):
        with pytest.raises(lb.BenchError, match="overrides is .*; a list such as"):
            lb.load_study(small_study, overrides)
    with pytest.raises(lb.BenchError, match="folder is None; a path is allowed"):
        lb.open_run(None)
    with pytest.raises(lb.BenchError, match="there is no such study file"):
        lb.load_study(tmp_path / "none.toml")
    with pytest.raises(lb.BenchError, match="belongs to the study 'small', not to 'demo'"):
        lb.run_stage("train", lb.load_study("package:configs/demo.toml"), small_run)
    with pytest.raises(lb.BenchError, match="does not exist"):
        lb.open_run(tmp_path / "none")
    with pytest.raises(lb.BenchError, match="is no run folder.*it has the runs run"):
        lb.open_run(small_run.parent)
    opened = lb.open_run(small_run)
    assert opened.tables == ["metrics"] and opened.study.name == "small"
    with pytest.raises(lb.BenchError, match="scores.parquet is missing; run 'lycoris-bench analy"):
        opened.table("scores")
    with pytest.raises(lb.BenchError, match="unknown table 'metric'; did you mean 'metrics'"):
        opened.table("metric")
    with pytest.raises(lb.BenchError, match="findings.json is missing"):
        _ = opened.findings


@pytest.mark.filterwarnings("ignore")  # of other libraries, in a user's own program
def test_the_page_can_be_followed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small_study: Path,
    small_run: Path,
) -> None:
    """Its blocks one after the other; every public function is in it."""
    shutil.copy(small_study, tmp_path / "study.toml")
    shutil.copytree(small_run, tmp_path / "runs/small")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)):
        exec(compile(block, f"api.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "12 layers" in said and "score 0 3 {}" in said and "small ['metrics']" in said
    functions = [name for name in lb.__all__ if name.islower()]
    assert not [name for name in functions if f"`{name}" not in page and name != "__version__"]


@pytest.mark.filterwarnings("ignore")  # of other libraries, in a user's own program
def test_read_a_run(
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The example; the others are run in test_examples.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["read_a_run.py", str(small_run)])
    runpy.run_path(str(ROOT / "examples/read_a_run.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert said.startswith("small has the tables metrics\n") and "lora          1" in said
    assert Path("run.png").stat().st_size > 1000


def test_lists() -> None:
    assert {"lora", "diag-oft", "full"} <= set(lb.list_adapters())
    assert {"dinov2-l", "miniature-gram"} <= set(lb.list_encoders())
    assert {"vendi", "text_similarity"} <= set(lb.list_metrics())


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys, typing, importlib, lycoris_bench;"
        "found = {name.partition('.')[0] for name in sys.modules};"
        "print(found & {'lycoris_bench', 'numpy', 'pandas', 'torch', 'PIL', 'safetensors'},"
        " [name for name in sys.modules if name.startswith('lycoris_bench.')])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "{'lycoris_bench'} []", printed.stderr


def test_types_and_names_say_the_same() -> None:
    """What type checkers read is what is imported when a name is used."""
    tree = ast.parse(Path(lb.__file__).read_text(encoding="utf-8"))
    guarded, _ = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(typed) == sorted(set(lb.__all__) - {"__version__"}) == sorted(lb._PLACES)
    for name, (module, inside) in typed.items():
        assert getattr(lb, name) is getattr(import_module(str(module)), inside), name
    assert dir(lb) == sorted(lb.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'scoreimages'"):
        _ = lb.scoreimages
