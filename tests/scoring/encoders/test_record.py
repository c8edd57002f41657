"""Records, their hashes, and how a study names an encoder."""

import re
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders import ENCODERS
from tests.support.world import tiny

OTHER = {
    "name": "x",
    "weights": "x/y",
    "revision": "2",
    "sha256": "0" * 64,
    "size": 65,
    "resize": "stretch",
    "mean": (0.5, 0.5, 0.4),
    "std": (0.5, 0.5, 0.4),
    "outputs": "gram",
}


def test_every_field_changes_the_hash():
    record = encoders.record("dinov2-l")
    assert set(OTHER) == {field.name for field in fields(record)}
    hashes = {replace(record, **{key: value}).hash for key, value in OTHER.items()}
    assert len(hashes | {record.hash}) == len(OTHER) + 1
    assert replace(record).hash == record.hash


def test_a_record_is_frozen():
    with pytest.raises(FrozenInstanceError):
        encoders.record("dinov2-l").size = 1


def test_the_page_of_encoders_has_each():
    page = (Path(__file__).parents[3] / "docs/metrics.md").read_text(encoding="utf-8")
    for name, entry in ENCODERS.entries().items():
        row = re.search(rf"^\| `{name}` \|.*$", page, re.MULTILINE)
        assert row and row[0].endswith(f"| {entry.record.size} | {entry.record.resize} |")


def test_a_spec_is_a_name_and_perhaps_a_resizing():
    assert encoders.record("dinov2-l") == ENCODERS.entries()["dinov2-l"].record
    crop = encoders.record("dinov2-l:crop")
    assert crop == replace(encoders.record("dinov2-l"), resize="crop")
    assert encoders.record("vgg19:letterbox").resize == "letterbox"


def test_the_papers_grid_can_be_written_in_a_study():
    """Every resizing of its appendix E, each a view of its own: another record and other rows."""
    square = ("letterbox", "crop", "stretch")
    specs = [f"{name}:{mode}" for name in ("dinov2-l", "clip-l-datacomp") for mode in square]
    specs += [f"convnextv2-l:{mode}" for mode in ("scale", "letterbox", "crop")] + ["vgg19:scale"]
    study = tiny(scoring={"encoders": specs})
    records = [encoders.record(spec) for spec in study.settings.scoring.encoders]
    assert len({record.hash for record in records}) == 10
    assert [f"{record.name}:{record.resize}" for record in records] == specs


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dinov2-k", "unknown encoder 'dinov2-k'; did you mean 'dinov2-l'?"),
        ("dinov2_l", "unknown encoder 'dinov2_l'; did you mean 'dinov2-l'?"),
        ("dinov2-l:corp", "unknown resizing 'corp'; did you mean 'crop'?"),
        ("vgg19:42", "unknown resizing '42'; allowed are: crop, letterbox, scale, stretch"),
        (
            "clip-l-datacomp:scale",
            "encoder 'clip-l-datacomp' takes square images, which 'scale' does not make; "
            "allowed are: letterbox, crop, stretch, letterbox+tf32, crop+tf32, stretch+tf32",
        ),
        (
            "vgg19:crop+tf32",
            "encoder 'vgg19' computes in fp32 alone; allowed are: scale, letterbox, crop, stretch",
        ),
    ],
)
def test_a_wrong_spec_is_one_sentence(spec, message):
    for function in (encoders.record, encoders.load):
        with pytest.raises(ValueError) as error:
            function(spec)
        assert error.value.args[0] == message
