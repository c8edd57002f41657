"""Feature relevance: toys, loops over a small folder, and the orderings in published numbers."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lycoris_bench.cli import main
from lycoris_bench.data.images import DataError, read_image
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.diversity_ratio import (
    MEASURES,
    RelevanceError,
    VectorCollector,
    as_csv,
    classes,
    ratios,
    relevance,
    samples,
    summary,
)

GIVEN = os.environ.get("LYCORIS_BENCH_PUBLISHED", "")
SPECS = ["miniature-image", "miniature-image-text:stretch", "miniature-gram"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two reds and a blue class, in two categories; names sort as numbers."""
    rng = np.random.default_rng(0)
    colours = {"warm/red": (200, 30, 30), "warm/rose": (220, 90, 110), "cold/blue": (20, 40, 200)}
    for name, colour in colours.items():
        place = tmp_path / "data" / name
        place.mkdir(parents=True)
        for k in range(6):
            noisy = np.array(colour) + rng.normal(0, 25, (12, 10, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(place / f"{k * 3}.png")
    return tmp_path / "data"


def test_every_number_is_that_of_a_loop(folder: Path) -> None:
    table = relevance(folder, SPECS, sizes=[4], seed=3)
    assert set(table["folder"]) == {".", "warm", "cold", "warm/red", "warm/rose", "cold/blue"}
    for spec in SPECS:
        encoder = encoders.load(spec)
        part = table[
            (table["encoder"] == encoder.record.name) & (table["resize"] == encoder.record.resize)
        ]
        assert len(part) == 3 * 12  # each of six folders whole, and four images of it
        for name in ("warm/red", "."):
            vectors = [vector(encoder, path) for path in sorted((folder / name).rglob("*.png"))]
            units = [v / np.linalg.norm(v) for v in vectors]
            n = len(vectors)
            cosines = np.array([[a @ b for b in units] for a in units])
            share = np.linalg.eigvalsh(cosines / n)
            share = share[share > 1e-15]
            squares = [((a - b) ** 2).sum() for a in vectors for b in vectors]
            expected = {
                "vendi": np.exp(-(share * np.log(share)).sum()),
                "dissimilarity": 1 - cosines.mean(),
                "variance": np.mean(squares) / 2,
            }
            found = part[(part["folder"] == name) & (part["n"] == n)].set_index("measure")["value"]
            for measure, value in expected.items():
                assert found[measure] == pytest.approx(value, rel=1e-3), (spec, name, measure)


def vector(encoder: encoders.Encoder, path: Path) -> np.ndarray:
    out = encoder.encode([encoder.prepare(read_image(path))])
    layers = out if isinstance(out, list) else [out]
    return np.concatenate([layer.double().numpy().ravel() for layer in layers])


def test_ratios_by_hand() -> None:
    """At equal n where the whole set has it, else over the whole set's largest n."""
    rows = [(".", 100, 8.0), (".", 10, 4.0), ("a", 10, 1.0), ("a", 30, 2.0), ("b", 10, 3.0)]
    table = pd.DataFrame(rows, columns=["folder", "n", "value"])
    found = ratios(table.assign(encoder="e", resize="r", measure="vendi"))
    assert found["ratio"].tolist() == [1.0, 1.0, 0.25, 0.25, 0.75]


def test_samples_depend_on_seed_and_folder_alone() -> None:
    rows = np.arange(50, 90)
    full, ten, thirty = samples(rows, "a", [30, 10, 40, 10], seed=1)
    assert full.tolist() == rows.tolist()
    assert (len(ten), len(thirty)) == (10, 30) and len(set(thirty)) == 30
    assert set(thirty) < set(rows)
    assert ten.tolist() == list(samples(rows, "a", [10], seed=1))[1].tolist()
    for folder, seed in (("b", 1), ("a", 2)):
        assert ten.tolist() != list(samples(rows, folder, [10], seed))[1].tolist()


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "r.csv"
    arguments = ["relevance", str(folder), "--encoders", SPECS[0], "--sizes", "3", "--out"]
    assert main.call(main.command(), [*arguments, str(out)]) == 0
    table = pd.read_csv(out)
    assert len(table) == 3 * 12 and set(table["n"]) == {3, 6, 12, 18}
    said = capsys.readouterr().out
    for measure in MEASURES:  # at equal n: by hand, against as many of all images
        own = table[(table["measure"] == measure) & (table["n"] == 3)].set_index("folder")["value"]
        mean = np.mean([own[name] / own["."] for name in ("warm/red", "warm/rose", "cold/blue")])
        assert f"{mean:.3f}" in said
    assert "of 3 classes, of 3 images each" in said and "all their images" not in said
    before = out.read_bytes()
    assert main.call(main.command(), [*arguments, str(out)]) == 0
    assert out.read_bytes() == before


def test_the_summary_is_of_the_sizes_that_are_asked_for() -> None:
    rows = [(".", 90, 0.9), (".", 10, 0.5), ("a", 30, 0.3), ("a", 10, 0.4), ("b", 10, 0.2)]
    table = pd.DataFrame(rows, columns=["folder", "n", "value"]).assign(encoder="e", resize="r")
    table = ratios(pd.concat([table.assign(measure=name) for name in MEASURES]))
    at_ten, at_fifty = summary(table, [50, 10]).split("\n\n")
    assert "2 classes, of 10 images each" in at_ten and f"{(0.4 + 0.2) / 2 / 0.5:.3f}" in at_ten
    assert at_fifty == "no class has samples of 50 images each"
    assert f"{(0.3 / 0.9 + 0.2 / 0.5) / 2:.3f}" in summary(table)


def test_images_that_are_the_same_have_no_ratio(tmp_path: Path) -> None:
    """Their diversity is what it is by definition, and 0/0 is nothing: no noise of rounding."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
    for name, picture in (("one", 0), ("two", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        for k in range(5):  # more than a batch of 4: networks round otherwise in another batch
            Image.fromarray(noise[picture]).save(tmp_path / name / f"{k}.png")
    table = relevance(tmp_path, SPECS, batch_size=4).set_index(["folder", "encoder", "measure"])
    for (folder, encoder, measure), row in table.iterrows():
        if folder != ".":
            assert row["value"] == (1 if measure == "vendi" else 0)
            assert row["ratio"] == row["value"] / table["value"][".", encoder, measure]
    for k in range(5):
        Image.fromarray(noise[0]).save(tmp_path / "other" / f"{k}.png")
    table = relevance(tmp_path, SPECS, batch_size=4)
    assert table[table["measure"] == "vendi"]["ratio"].eq(1).all()
    rest = table[table["measure"] != "vendi"]
    assert rest["value"].eq(0).all() and rest["ratio"].isna().all()
    assert "nan" not in summary(table) and "gives all images the same features" in summary(table)


def test_broken_images_are_named_before_anything_is_encoded(folder: Path) -> None:
    for name in ("warm/red/0.png", "cold/blue/3.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:80])
    with pytest.raises(DataError) as caught:
        relevance(folder, SPECS)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        str(folder / "cold/blue/3.png"), str(folder / "warm/red/0.png"),
    ]  # fmt: skip


def test_an_image_that_is_nothing_to_an_encoder_is_named(folder: Path, monkeypatch) -> None:
    def blind(self: VectorCollector, uids, prepared) -> None:
        self.parts.append(np.zeros((len(uids), 4)))

    monkeypatch.setattr(VectorCollector, "take", blind)
    with pytest.raises(
        RelevanceError, match=r"cold/blue/0\.png features of norm .*\(and 17 more\)"
    ):
        relevance(folder, SPECS[:1], batch_size=100)


def test_a_file_of_the_user_is_not_replaced(folder: Path, tmp_path: Path, capsys) -> None:
    mine, given = tmp_path / "mine.csv", ["relevance", str(folder), "--encoders", SPECS[0], "--out"]
    mine.write_text("a,b\n1,2\n")
    assert main.call(main.command(), [*given, str(mine)]) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert mine.read_text() == "a,b\n1,2\n"
    assert main.call(main.command(), [*given, str(mine), "--force"]) == 0
    assert main.call(main.command(), [*given, str(mine)]) == 0  # now it is this command's
    (tmp_path / "place").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("place", "pipe", "/dev/null"):
        assert main.call(main.command(), [*given, str(tmp_path / name), "--force"]) == 2
        assert "which is not replaced" in capsys.readouterr().err


def test_names_of_folders_are_no_formulas(folder: Path) -> None:
    (folder / "warm").rename(folder / "=1+1")
    assert {line.split(",")[0] for line in as_csv(relevance(folder, SPECS[:1])).splitlines()} == {
        "folder", ".", "'=1+1", "'=1+1/red", "'=1+1/rose", "cold", "cold/blue",
    }  # fmt: skip


def test_what_cannot_be_compared_is_a_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one" / "class").mkdir(parents=True)
    for arguments, sentence in (
        ([str(tmp_path / "none")], "there is no folder"),
        ([str(tmp_path / "one")], "has 0 folders of two images or more"),
        ([str(folder), "--sizes", "1"], "sizes are 2 or more"),
        ([str(folder), "--seed", "-1"], "--seed is -1; 0 or more is allowed"),
        ([str(folder), "--batch-size", "0"], "--batch-size is 0; 1 or more is allowed"),
        ([str(folder), "--encoders", "dino"], "unknown encoder 'dino'"),
    ):
        assert main.call(main.command(), ["relevance", *arguments]) == 2
        assert sentence in capsys.readouterr().err
    assert classes(folder)["warm"] == [
        folder / "warm" / name / f"{k * 3}.png" for name in ("red", "rose") for k in range(6)
    ]


def test_one_class_is_none_however_deep_it_lies(folder: Path, tmp_path: Path, capsys) -> None:
    """The folders above it hold the same images."""
    deep = tmp_path / "deep/a/b"
    deep.mkdir(parents=True)
    (folder / "warm/red").rename(deep / "red")
    arguments = ["relevance", str(tmp_path / "deep"), "--out", str(tmp_path / "r.csv")]
    assert main.call(main.command(), arguments) == 2
    said = "deep has 1 folders of two images or more; at least two are needed, a class each"
    assert said in capsys.readouterr().err and not (tmp_path / "r.csv").exists()


def test_classes_of_one_image_are_named_and_count_among_all(folder: Path, tmp_path: Path, capsys):
    """Two of them do not make a class of the folder that they lie in."""
    for name in ("odd/one", "odd/two", "cold/three"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), "green").save(folder / name / "1.png")
    out = tmp_path / "r.csv"
    arguments = ["relevance", str(folder), "--encoders", SPECS[0], "--out", str(out)]
    assert main.call(main.command(), arguments) == 0
    shown = capsys.readouterr()
    assert "3 folders of one image, which has no diversity, are left out: " in shown.err
    assert all(name in shown.err for name in ("odd/one", "odd/two", "cold/three"))
    assert "mean diversity ratio of 3 classes" in shown.out
    table = pd.read_csv(out)
    counts = table[table["measure"] == "vendi"].set_index("folder")["n"].to_dict()
    assert counts == {
        ".": 21, "warm": 12, "cold": 7, "warm/red": 6, "warm/rose": 6, "cold/blue": 6,
    }  # fmt: skip


@pytest.mark.parametrize(
    "specs", [SPECS[:1] * 2, [SPECS[0], f"{SPECS[0]}:{encoders.record(SPECS[0]).resize}"]]
)
def test_an_encoder_is_named_once(folder: Path, specs: list[str]) -> None:
    with pytest.raises(RelevanceError, match=f"'{specs[0]}' and '{specs[1]}' are the same; name"):
        relevance(folder, specs)


@pytest.mark.skipif(not GIVEN, reason="LYCORIS_BENCH_PUBLISHED does not name the published data")
def test_published_orderings() -> None:
    """Their numbers, our ratios: objects of ImageNet matter most to ConvNeXt V2, trained on their
    labels, then to DINOv2, CLIP, VGG-19; characters most to CLIP; styles to VGG's Gram matrices.
    How images are resized changes a mean ratio by less than a quarter of what the encoder does."""
    order = {}
    for name in ("imagenet", "anime_characters", "styles"):
        table = ratios(_published(name))
        table = table[table["folder"] != "."].sort_values("n")
        assert (table["ratio"].dropna() > 0).all()
        names = ["measure", "encoder", "resize"]
        hundred = table[table["n"] == 100].groupby(names)["ratio"].mean()
        all_images = table.drop_duplicates([*names, "folder"], keep="last")
        means = all_images.groupby(names)["ratio"].mean()
        for measure in MEASURES:
            by_encoder = hundred[measure].groupby("encoder").mean()
            order[name, measure] = by_encoder.sort_values().index.tolist()
            of_resizings = means[measure].groupby("encoder")
            spread = of_resizings.max() - of_resizings.min()
            assert spread.max() < np.ptp(of_resizings.mean()) / 4
    for measure in MEASURES:
        expected = ["convnextv2-l", "dinov2-l-fb", "clip-L-14", "vgg19-gram"]
        assert order["imagenet", measure] == expected
    for measure in ("dissimilarity", "variance"):
        assert order["anime_characters", measure][0] == "clip-L-14"
        assert order["styles", measure][0] == "vgg19-gram"
    assert order["styles", "vendi"][-1] == "vgg19-gram"  # the measures do not always agree


def _published(name: str) -> pd.DataFrame:
    """One of the authors' files as a long table."""
    wide = pd.read_csv(Path(GIVEN, f"feature_relevance/all_diversity_{name}.csv"))
    names = {"Vendi": "vendi", "Dissimilarity": "dissimilarity", "Var": "variance"}
    parts = []
    for column in wide.columns[2:]:
        measure, encoder, resize = re.fullmatch(r"(\w+) \((.*)-(\w+)\)", column).groups()
        part = wide[["Folder", "Count"]].set_axis(["folder", "n"], axis=1)
        about = {"encoder": encoder, "resize": resize, "measure": names[measure]}
        parts.append(part.assign(**about, value=wide[column]))
    return pd.concat(parts, ignore_index=True).dropna(subset="value")
