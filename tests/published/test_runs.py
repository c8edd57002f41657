"""Tables by hand and the authors' own become rows: every cell, once, under the right name."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from lycoris_bench.cli import main
from lycoris_bench.published.import_published import import_published
from lycoris_bench.published.renames import PublishedError
from tests.published.conftest import DRAWN, EXTRA, LOHA, LORA, write_table

TITLES = ["Image Similarity (dinov2-l-fb-crop) (in)", "Image Similarity (dinov2-l-fb-padding) (in)",
          "Text Similarity (in)", "Style Loss (base model)"]  # fmt: skip
NO_TAGS, ALL_TAGS = "exp-2001-sd15-lora8a4-db", "exp-3001-sd15-lora8a4-alltags"


def table(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "metrics.parquet")


def test_a_table_by_hand(clone: Path, tmp_path: Path) -> None:
    write_table(
        clone / "deep/metrics/ddim_sd15_metrics.csv",
        {
            f"{DRAWN}-{LOHA}-b-000010/style/dots": [0.1, 0.2, 0.3, ""],
            f"{DRAWN}-{LORA}-a/people/K-2SO": [0.4, 0.5, 0.6, 7],
            f"{DRAWN}-{EXTRA}-a/people/K-2SO": [0.8, 0.8, 0.8, 8],
            f"{DRAWN}/people/K-2SO": [0.9, "", "", ""],
        },
        TITLES,
    )
    said = import_published(clone, tmp_path / "out")["text"]
    rows = table(tmp_path / "out/main")
    where = rows.set_index(["configuration", "metric", "resize"])["value"]
    assert where.to_dict() == {
        ("lora", "image_similarity", "letterbox"): 0.5, ("lora", "image_similarity", "crop"): 0.4,
        ("lora", "text_similarity", ""): 0.6, ("lora", "style_loss", "scale"): 7,
        ("loha", "image_similarity", "letterbox"): 0.2, ("loha", "image_similarity", "crop"): 0.1,
        ("loha", "text_similarity", ""): 0.3, ("base", "image_similarity", "crop"): 0.9,
    }  # fmt: skip
    # The first row of a metric decides what is its main view: here it is the letterbox.
    assert rows["resize"].iloc[0] == "letterbox"
    loha = rows[rows["configuration"] == "loha"].iloc[0]
    assert (loha["seed"], loha["epoch"], loha["category"]) == (24, 10, "styles")
    assert rows[rows["configuration"] == "base"]["epoch"].isna().all()
    assert f"left out, as the paper does: {EXTRA}" in said
    found = json.loads((tmp_path / "out/main/provenance.json").read_text())["published"]
    assert set(found["sources"]) == {
        "deep/metrics/ddim_sd15_metrics.csv",
        "deep/config_mapping.csv",
    }


def test_captions_share_fingerprints_unless_images_are_held_against_them(
    clone: Path, tmp_path: Path
) -> None:
    write_table(
        clone / "captions_metrics.csv",
        {f"{DRAWN}-{name}-a/scene/scene_canal": [0.1, 0.2, 0.3, 4] for name in (NO_TAGS, ALL_TAGS)},
        TITLES,
    )
    write_table(
        clone / "ddim_sd15_metrics.csv",
        {f"{DRAWN}-{LORA}-a/scene/scene_canal": [0.1, 0.2, 0.3, 4],
         f"{DRAWN}-{LORA}-a/scene/scene_castle": [0.1, 0.2, 0.3, 4]},
        TITLES,
    )  # fmt: skip
    import_published(clone, tmp_path / "out")
    rows = table(tmp_path / "out/captions")
    assert list(rows["configuration"].unique()) == ["lora", "lora-no-tags", "lora-all-tags"]
    kinds = rows.groupby(["metric", "resize", "class"])["fingerprint"].nunique()
    assert kinds["text_similarity", "", "scene_canal"] == 3
    assert (kinds.drop("text_similarity") == 1).all() and len(kinds) == 8
    assert rows.groupby("fingerprint")[["metric", "resize", "class"]].nunique().eq(1).all().all()


@pytest.mark.parametrize(("rows", "titles", "said"), [
    ({f"{DRAWN}-{LORA}-a/style/dots": ["much"]}, ["Text Similarity (in)"], "is no number"),
    ({f"{DRAWN}-{LORA}/style/dots": [1]}, ["Text Similarity (in)"], "cannot be read; needed"),
    ({f"{DRAWN}-{LORA}-a/style/dots": [1]}, ["Beauty (in)"], "unknown metric 'Beauty'"),
])  # fmt: skip
def test_a_damaged_table_is_one_sentence(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows, titles, said: str
) -> None:
    write_table(clone / "ddim_sd15_metrics.csv", rows, titles)
    arguments = ["import-published", str(clone), "--out", str(tmp_path / "out")]
    assert main.call(main.command(), arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_what_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishedError, match="needed is a clone"):
        import_published(tmp_path / "nowhere", tmp_path)
    with pytest.raises(PublishedError, match="holds neither eval_prompts nor any table of"):
        import_published(tmp_path, tmp_path)


def test_the_run_of_another_study_is_not_written_over(clone: Path, tmp_path: Path) -> None:
    write_table(clone / "ddim_sd15_fd.csv", {f"{DRAWN}-{LORA}-a": [1]}, ["FD (clip-L-14-resize)"])
    (tmp_path / "main-distances").mkdir()
    (tmp_path / "main-distances/study.toml").write_text('name = "mine"')
    with pytest.raises(PublishedError, match="belongs to the study 'mine'.*with --out"):
        import_published(clone, tmp_path)


# ---- the authors' own


def test_the_caption_study_is_complete(captions: pd.DataFrame) -> None:
    assert len(captions[["configuration", "seed", "epoch"]].drop_duplicates()) == 72
    assert len(captions[["category", "class", "subclass"]].drop_duplicates()) == 39
    assert len(captions) == 72 * (39 * 66 + 32)  # style loss is empty for the 7 styles
    assert captions["value"].notna().all()
    assert captions["category"].value_counts().index.isin(
        ["anime characters", "movie characters", "styles", "stuffed toys", "scenes"]
    ).all()  # fmt: skip


def test_cells_are_those_of_their_table(captions: pd.DataFrame, published: Path) -> None:
    """A row of theirs in fifty, read by hand."""
    title = "Squared Centroid Distance (convnextv2-l-padding) (out)"
    ours = captions[
        (captions["metric"] == "centroid_distance") & (captions["encoder"] == "convnextv2-l")
        & (captions["resize"] == "letterbox") & (captions["prompt_type"] == "alter")
    ].set_index(["configuration", "seed", "epoch", "class", "subclass"])["value"]  # fmt: skip
    names = {"lora8a4": "lora", "loha4a2": "loha", "lokrf8": "lokr", "nt": "full"}
    with (published / "metrics/captions_metrics.csv").open(encoding="utf-8") as handle:
        lines = list(csv.DictReader(handle))
    assert len(lines) == len(ours)
    for line in lines[::50]:
        head, _, class_name, *subclass = line["Folder"].split("/")
        experiment, _, rest = head.partition("-exp-")[2].partition("-sd15-")
        strategy = "no-tags" if experiment.startswith("2") else "all-tags"
        ending = rest.split("-")
        epoch = int(ending.pop()) if ending[-1].isdigit() else 50
        key = (f"{names[ending[0]]}-{strategy}", 23 + "abc".index(ending[-1]), epoch, class_name,
               "/".join(subclass))  # fmt: skip
        assert ours[key] == float(line[title])


def test_the_main_study_is_what_the_paper_keeps_of_it(imported: Path) -> None:
    """26 configurations where native was measured, 18 without; the three extra rates are out."""
    counts = {}
    for name in ("main-means", "main-classes", "main-distances"):
        rows = table(imported / name)
        rows = rows[rows["configuration"] != "base"]
        counts[name] = len(rows[["configuration", "seed", "epoch"]].drop_duplicates())
    assert counts == {"main-means": 18 * 9, "main-classes": 18 * 9, "main-distances": 26 * 9}
    means = table(imported / "main-means")
    assert set(means["class"]) == {""} and means["category"].nunique() == 5
    assert len(means) == 162 * 5 * 63
    distances = table(imported / "main-distances")
    assert len(distances) == 234 * 7 * 3 + (234 + 1) * 3  # style loss; FD, base included
    assert not (imported / "main").exists()  # its table is not among the data
