"""Every example runs as it is, in a folder of its own, and shows what it says."""

import json
import runpy
from pathlib import Path

import pandas as pd
import pytest

import lycoris_bench as lb
from tests.support.plugin import Load

EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.filterwarnings("ignore")  # of other libraries, in a user's own program


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_plugin: Load) -> None:
    monkeypatch.chdir(tmp_path)


def run(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def test_score_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert "text_similarity miniature-image-text" in run("score_a_folder", capsys)
    scores = pd.read_csv("scores.csv")
    assert len(scores) == 13 and set(scores["n"]) == {8}


def test_median_similarity(capsys: pytest.CaptureFixture[str]) -> None:
    assert "median_similarity miniature-image" in run("median_similarity", capsys)
    assert "median_similarity" in lb.list_metrics()


def test_apply_an_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    said = run("apply_an_adapter", capsys)
    assert "96 layers of lokr are applied\nleft out: nothing" in said
    before, with_, after = (
        Path(f"{name}.png").read_bytes() for name in ("before", "with", "after")
    )
    assert before == after != with_


def test_compare_two_adapters(capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = run("compare_two_adapters", capsys).splitlines()
    assert head.split() == ["block", "|one|", "|other|", "cosine"]
    cosines = {row.split()[0]: float(row.split()[-1]) for row in rows}
    assert cosines.keys() == {"down_blocks", "mid_block", "up_blocks"}
    assert all(0.9 < cosine < 1 for cosine in cosines.values())


def test_the_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells one after the other, as a fresh kernel runs them; a last expression is a value."""
    notebook = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    names: dict[str, object] = {}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "layers were changed, left out: ()" in said
    assert float(said.rpartition("differ by ")[2]) < 0.01


def test_every_example_is_listed_and_tested() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tested = "".join(Path(__file__).with_name(f"test_{name}.py").read_text("utf-8")
                     for name in ("examples", "api"))  # fmt: skip
    for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")]:
        assert f"[{path.name}]({path.name})" in listed
        assert f"def test_{path.stem}(" in tested or path.name == "tour.ipynb"
