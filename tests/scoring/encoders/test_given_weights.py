"""`[scoring.weights]`: an encoder's weights as a file or a revision of a repository, and an
identity that is what was read, not what it is called."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w
import torch

from lycoris_bench.cli import main
from lycoris_bench.files.checksum import sha256_once
from lycoris_bench.planning.downloads import downloads
from lycoris_bench.planning.plan import plan
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders import weights
from lycoris_bench.study.load import StudyError, load, parse
from tests.support.world import table, tiny

OWN = weights.local_file("package:miniature/weights/image.safetensors", "miniature-image")


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy2(OWN, tmp_path / "mine.safetensors"))  # as old as its original


def test_the_record_holds_what_is_in_the_file(copy: Path) -> None:
    record = encoders.resolved("miniature-image", str(copy))
    assert (record.sha256, record.weights) == (sha(copy), str(copy))
    assert encoders.load("miniature-image", weights=str(copy)).record == record
    assert record.hash == encoders.record("miniature-image").hash  # the same, lying elsewhere


def test_other_weights_are_another_identity_and_other_features(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    before = encoders.resolved("miniature-image", str(copy)).hash
    random = {
        name: torch.rand_like(value) if value.is_floating_point() else value
        for name, value in load_file(copy).items()
    }
    save_file(random, copy)
    loaded = encoders.load("miniature-image", weights=str(copy))
    assert loaded.record.hash == encoders.resolved("miniature-image", str(copy)).hash != before
    image = torch.zeros(1, 3, 64, 64)
    true = encoders.load("miniature-image").encode(image)
    assert not torch.allclose(loaded.encode(image), true)


def test_content_of_the_hubs_file_is_in_the_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights under the true ones' name and revision are told apart."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert encoders.resolved("vgg19") == encoders.record("vgg19")  # not there: nothing is known
    for revision, commit in (("main", "a" * 40), ("v2", "b" * 40)):
        snapshot = tmp_path / "models--timm--vgg19.tv_in1k/snapshots" / commit
        refs = snapshot.parent.parent / "refs"
        snapshot.mkdir(parents=True)
        refs.mkdir(exist_ok=True)
        (refs / revision).write_text(commit)
        (snapshot / "model.safetensors").write_bytes(revision.encode())
    first, second = encoders.resolved("vgg19"), encoders.resolved("vgg19", "timm/vgg19.tv_in1k@v2")
    assert first.sha256 == hashlib.sha256(b"main").hexdigest()
    assert second.sha256 == hashlib.sha256(b"v2").hexdigest()
    assert (second.weights, second.revision) == ("timm/vgg19.tv_in1k", "v2")
    assert first.hash != second.hash


def test_a_file_is_read_once_and_again_when_it_changes(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    digest = hashlib.file_digest

    def counted(file: object, kind: str) -> object:
        reads.append(kind)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    found = [sha256_once(copy) for _ in range(3)]
    assert set(found) == {sha(copy)} and len(reads) == 1
    copy.write_bytes(b"other")
    assert sha256_once(copy) == hashlib.sha256(b"other").hexdigest() and len(reads) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a/b", ("a/b", "main")),
        ("a/b@v2", ("a/b", "v2")),
        ("a/b@refs/pr/1", ("a/b", "refs/pr/1")),
        ("a/b.safetensors", ("a/b.safetensors", "local")),
        ("/x@y/b.pth", ("/x@y/b.pth", "local")),
    ],
)
def test_what_names_a_repository(text: str, found: tuple[str, str]) -> None:
    record = weights.given(encoders.record("vgg19"), text)
    assert (record.weights, record.revision) == found and record.sha256 is None


def test_a_path_is_relative_to_the_study_file(tmp_path: Path, copy: Path) -> None:
    own = {"encoders": ["miniature-image"], "weights": {"miniature-image": copy.name}}
    (tmp_path / "s.toml").write_text(tomli_w.dumps(table(scoring=own)))
    study = load(tmp_path / "s.toml")
    assert study.settings.scoring.weights_of("miniature-image:crop") == str(copy)
    assert study.settings.scoring.weights_of("miniature-gram") is None
    assert parse(json.loads(json.dumps(study.settings.model_dump(exclude_none=True)))) == study


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"vgg": "a/b"}, "unknown encoder 'scoring.weights.vgg'; did you mean 'vgg19'?"),
        ({"vgg19": ""}, "'scoring.weights.vgg19' is ''"),
        ({"vgg19": 3}, "'scoring.weights.vgg19' is 3: a text is needed"),
        ({"vgg19": "none.pth"}, "'scoring.weights.vgg19': there is no file .*none.pth"),
        ({"vgg19": "."}, "'scoring.weights.vgg19': there is no file"),
    ],
)
def test_what_cannot_be_an_encoders_weights(own: dict[str, object], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        plan(tiny(scoring={"weights": own}))


def test_plan_lists_files_and_revisions_and_does_not_fail(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"vgg19": str(copy), "dinov2-l": "someone/else@v3"}
    asked = table(scoring={"encoders": ["vgg19", "dinov2-l"], "weights": own})
    (tmp_path / "s.toml").write_text(tomli_w.dumps(asked))
    assert main.call(main.command(), ["plan", "s.toml", "--rate", "7,8"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("download")]
    assert f"{copy} (encoder vgg19, a file" in said[0] and said[0].endswith(": there")
    assert said[1].endswith("type: hf download someone/else --revision v3")


def test_an_encoder_whose_own_weights_are_a_file(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody has it who adds an encoder of theirs."""
    from lycoris_bench.scoring.encoders.vgg19 import VGG19

    monkeypatch.setattr(VGG19, "record", replace(VGG19.record, weights=str(copy)))
    (found,) = downloads(tiny(scoring={"encoders": ["vgg19"]}).settings, "0123")
    assert found.there and found.repository == str(copy)


def test_the_model_that_draws_is_listed_too() -> None:
    absent: list[str] = []
    asked = plan(tiny(sampling={"base_model": "someone/else"}), absent=absent)
    (found,) = downloads(asked.study.settings, asked.base_uid, asked.drawn_base_uid)
    assert (found.repository, found.use, found.there) == (
        "someone/else", "base model that draws", False,
    )  # fmt: skip
    assert found.command.startswith("hf download someone/else --include") and len(absent) == 1


def test_a_file_of_another_kind_is_said_before_any_work(tmp_path: Path) -> None:
    for name, content, said in (
        ("mine.toml", b"a = 1", "of another kind; allowed are: .safetensors"),
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{", "does not hold the weights of vgg19"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=said):
            downloads(
                tiny(
                    scoring={"encoders": ["vgg19"], "weights": {"vgg19": str(tmp_path / name)}}
                ).settings,
                "0123",
            )
