"""A model card's numbers: by hand, and by the Hub's own reader."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from lycoris_bench.exporting.card import card
from lycoris_bench.exporting.run_values import read
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run.folder import StoreError
from tests.exporting.conftest import Written

MEAN = 0.5 + 0.01 + 0.02  # of lora at the last epoch: two classes, two seeds


def test_values_are_the_means_of_the_last_epoch(written: Written) -> None:
    run = read(written("run"))
    lora = next(entry for entry in run.entries if entry.name == "lora")
    fidelity = lora.values["fidelity"]
    assert fidelity.value == pytest.approx(MEAN) and (fidelity.n, lora.seeds) == (4, 2)
    # means of seeds 0.04 apart and of classes 0.02 apart, nothing besides: A = 2 * 0.0008 and
    # B = 2 * 0.0002, of four cells
    assert fidelity.stderr == pytest.approx(((2 * 0.0008 + 2 * 0.0002) / 4) ** 0.5)
    assert run.base["fidelity"].value == pytest.approx(0.11)
    assert run.real["fidelity"].value == pytest.approx(0.91)
    assert {*lora.values} == {"fidelity", "preservation"}


def test_the_hub_reads_what_is_written(written: Written) -> None:
    text = card(written("run"), "lora")
    data = ModelCard(text + "\nA card.\n").data
    assert isinstance(data, ModelCardData) and data.eval_results
    [first, second] = data.eval_results
    assert (data.model_name, first.task_type) == ("toy lora", "text-to-image")
    assert first.dataset_name == "photos, 2 concepts of the study toy"
    assert first.metric_type == "image_similarity"
    assert first.metric_value == pytest.approx(MEAN)
    assert first.metric_name == (
        "Fidelity: image similarity, trigger prompts (0.530 ± 0.0224, n = 4, higher is better)"
    )
    assert first.metric_args and first.metric_args["images"] == 4
    assert first.metric_args["base_model"] == pytest.approx(0.11)
    assert first.verified is None and first.verify_token is None
    assert second.metric_type == "style_loss" and "lower is better" in str(second.metric_name)


def test_one_concept_is_no_concepts(written: Written) -> None:
    folder = written("run")
    rows = pd.read_parquet(folder / "metrics.parquet")
    rows[rows["class"] == rows["class"].iloc[0]].to_parquet(folder / "metrics.parquet")
    assert "photos, 1 concept of the study toy" in card(folder, "lora")


def test_all_configurations_are_an_entry_each(written: Written) -> None:
    whole = yaml.safe_load(card(written("run")).strip("-\n"))
    assert [model["name"] for model in whole["model-index"]] == ["toy lora", "toy full"]


def test_names_are_text_whatever_they_hold(written: Written) -> None:
    folder = written("run", encoder="a: [b]\n- c\x1b", study="x: y")
    [model] = yaml.safe_load(card(folder, "lora").strip("-\n"))["model-index"]
    [_, metric] = model["results"][0]["metrics"]
    assert metric["args"]["encoder"] == r"a: [b]\n- c\x1b"


def test_mistakes_are_sentences(written: Written, tmp_path: Path) -> None:
    folder = written("run")
    with pytest.raises(StoreError, match="unknown configuration 'lorra'; did you mean 'lora'"):
        card(folder, "lorra")
    with pytest.raises(StoreError, match="does not exist"):
        card(tmp_path / "nowhere")
    (folder / "metrics.parquet").unlink()
    with pytest.raises(BenchError, match=r"holds no metrics.parquet; run 'lycoris-bench score'"):
        card(folder)
    with pytest.raises(BenchError, match="no number of a checkpoint to show; one of these is need"):
        card(written("other", metric="dissimilarity", encoder="eye"))
