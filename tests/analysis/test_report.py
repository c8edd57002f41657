"""The page as a reader's browser and a hostile class name see it."""

import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from lycoris_bench.analysis.pipeline import Analysis, analyze_tables
from lycoris_bench.analysis.report import page as report
from lycoris_bench.analysis.report import tables
from lycoris_bench.analysis.report.gallery import Gallery
from tests.support.pages import without_scripts

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(\"1\")</script>&'naïve ☃'"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects tags and texts, and insists that what is opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def analysis(study: pd.DataFrame, factors: pd.DataFrame) -> Analysis:
    """A study one of whose classes has a name that wants to be markup, and too few rows."""
    few = study[study["epoch"].isna() | ((study["seed"] == 23) & (study["epoch"] < 50))]
    few = few[few["configuration"].isin(["base", "real", *factors["configuration"][:6]])]
    few = few.assign(category=few["category"].replace("toys", HOSTILE))
    gallery = [
        {
            "concept": HOSTILE,
            "prompt_type": "trigger",
            "prompt": f"a photo of {HOSTILE}",
            "rows": [
                {"label": "lora", "images": [png("red")]},
                {"label": "base", "images": [png("blue")]},
            ],
        }
    ]
    costs = pd.DataFrame({"configuration": ["lora", "lora"], "seed": [23, 24], "seconds": [60, 80]})
    return analyze_tables(
        few,
        factors,
        Gallery(gallery, "Shown is one of 39 concepts."),
        {"git": "abc", "packages": {"torch": "2"}},
        costs,
        {HOSTILE: "NaN loss"},
    )


@pytest.fixture(scope="module")
def page(analysis: Analysis) -> Page:
    return Page(analysis.html)


def test_it_is_whole_html_and_names_every_configuration(page: Page, factors: pd.DataFrame) -> None:
    tags = [tag for tag, _ in page.tags]
    assert tags[0] == "html" and tags.count("h1") == 1 and tags.count("table") > 4
    headers = {text.strip() for text in page.texts}
    assert set(factors["configuration"]) <= headers
    assert {"1 min 10 s", "abc", "packages · torch"} <= headers


def test_nothing_is_fetched(page: Page, analysis: Analysis) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe")
        for name in ("src", "href", "srcset", "data"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:image/", "#"))
    assert not re.search(r"url\((?!%23)|@import", without_scripts(analysis.html))  # %23: its own


def test_inner_links_lead_somewhere(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {a["href"][1:] for tag, a in page.tags if tag == "a" and a["href"]}
    assert links and links <= ids


def test_a_hostile_name_is_text(page: Page) -> None:
    assert "alert" not in "".join(tag for tag, _ in page.tags)
    assert sum(HOSTILE in text for text in page.texts) >= 4
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert any(HOSTILE in (alt or "") for alt in alts)


def test_what_hides_in_a_name_is_shown(study: pd.DataFrame, factors: pd.DataFrame) -> None:
    """A direction mark would turn the rest of its line round; NUL ends some readers' files."""
    names = {"lora": "$x$ a_b^c =1+1 \u202eevil\x1b[31m\x00", "loha": "العربية " + "x" * 80}
    few = study[(study["class"] == "bunny") & study["metric"].isin(["vendi", "text_similarity"])]
    few = few[few["configuration"].isin(["base", *names]) & (few["seed"].fillna(23) == 23)]
    few, known = (t.replace({"configuration": names}) for t in (few, factors))
    made = analyze_tables(few, known, failures={names["lora"]: "first line\nsecond"})
    assert not set("\u202e\x1b\x00") & set(made.html)
    text = " ".join(Page(made.html).texts)
    assert "$x$ a_b^c =1+1 \\u202eevil\\x1b[31m\\x00" in text and names["loha"] in text
    assert "first line\nsecond" in text


def test_every_picture_has_words_and_is_an_image(page: Page) -> None:
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) > 10
    assert all(attributes["alt"] for attributes in images)


def test_the_refusal_and_the_findings_are_shown(page: Page, analysis: Analysis) -> None:
    text = " ".join(page.texts)
    assert analysis.shap.empty
    assert "There are 12 checkpoints, too few to say what moves this score" in text
    assert all(sentence in text for sentence in analysis.findings["sentences"])


def test_base_is_the_first_row_of_images(analysis: Analysis) -> None:
    images = analysis.html[analysis.html.index('id="images"') :]
    assert images.index('scope="row">base') < images.index('scope="row">lora')


@pytest.mark.study
def test_the_same_tables_give_the_same_page(
    analysis: Analysis, study: pd.DataFrame, factors: pd.DataFrame
) -> None:
    one = study[(study["category"] == "toys") & (study["epoch"] == 10) & (study["seed"] == 23)]
    one = one[one["configuration"].isin(factors["configuration"][:4])]
    first, second = (analyze_tables(one, factors).html for _ in range(2))
    assert first == second
    assert "Only one epoch was scored" in first


@pytest.mark.study
def test_the_page_does_not_follow_the_order_of_sets(
    study: pd.DataFrame, factors: pd.DataFrame, tmp_path: Path
) -> None:
    """Python's order of texts in a set is another in each process."""
    study.to_parquet(tmp_path / "study")
    factors.to_parquet(tmp_path / "factors")
    script = (
        "import hashlib, pandas as pd\n"
        "from lycoris_bench.analysis.pipeline import analyze_tables\n"
        "page = analyze_tables(pd.read_parquet('study'), pd.read_parquet('factors')).html\n"
        "print(hashlib.sha256(page.encode()).hexdigest())"
    )
    of_each = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert of_each[0] == of_each[1] != b""


def test_a_single_category_is_not_shown_twice(study: pd.DataFrame) -> None:
    names = {"categories": {"all categories": {}, "toys": {}}}
    assert report.shown_categories(names) == ["toys"]
    names["categories"]["styles"] = {}
    assert report.shown_categories(names) == ["all categories", "toys", "styles"]


def test_what_is_no_image_is_refused() -> None:
    assert report.data_uri(png("red")).startswith("data:image/png;base64,")
    with pytest.raises(ValueError, match=r"begins with b'GIF89a'"):
        report.data_uri(b"GIF89a")


def test_factors_must_fit_the_table(study: pd.DataFrame, factors: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="no row for: lora$"):
        analyze_tables(study, factors[factors["configuration"] != "lora"])
    with pytest.raises(ValueError, match="two rows for: lora"):
        analyze_tables(study, pd.concat([factors, factors.head(1)]))
    with pytest.raises(ValueError, match="lack the columns: lr_level"):
        analyze_tables(study, factors.drop(columns="lr_level"))


def test_costs_are_those_of_the_last_epoch_averaged_over_seeds(
    study: pd.DataFrame, factors: pd.DataFrame
) -> None:
    costs = pd.DataFrame(
        [("lora", 23, 10, 5.0), ("lora", 23, 50, 30.0), ("lora", 24, 50, 40.0)],
        columns=["configuration", "seed", "epoch", "seconds"],
    )
    made = tables.compared(factors, costs, study)
    assert made["columns"] == ["preset", "learning rate", "training time"]
    assert made["rows"][0]["cells"] == ["attn-mlp", "0.0002", "35 s"]
    assert made["rows"][1]["cells"][-1] == "–"


def test_configurations_without_scores_are_marked_and_not_counted(
    study: pd.DataFrame, factors: pd.DataFrame
) -> None:
    few = study[study["configuration"].isin(["base", "lora", "loha"])]
    few = few.assign(series=few["configuration"])
    assert tables.counts(few, factors)[0] == ("2 of 11", "configurations")
    assert tables.counts(few, factors.head(1))[0] == ("2", "configurations")
    rows = tables.compared(factors, None, few)["rows"]
    assert {row["name"] for row in rows if row["scored"]} == {"lora", "loha"}


@pytest.mark.parametrize("configurations", [("base", "real"), ("base", "lora")])
def test_with_nothing_to_rank_there_is_still_a_page(
    study: pd.DataFrame, factors: pd.DataFrame, configurations: tuple[str, ...]
) -> None:
    few = study[study["configuration"].isin(configurations)]
    few = few[few["seed"].isna() | ((few["seed"] == 23) & (few["epoch"] == 10))]
    made = analyze_tables(few, factors, costs=pd.DataFrame(), failures={"lora": "diverged"})
    assert made.scores.empty and made.shap.empty and made.correlation.empty
    assert "nothing can be ranked" in " ".join(Page(made.html).texts)
