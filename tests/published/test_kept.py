"""Files of a run that the user has edited are kept, and an import that was stopped goes on."""

from pathlib import Path

import pytest

from lycoris_bench.files import disk
from lycoris_bench.published.import_published import import_published
from tests.published.test_damage import imported


@pytest.mark.parametrize(
    "name", ["study.toml", "metrics.csv", "metrics.parquet", "provenance.json"]
)
def test_each_file_of_a_run_that_was_edited_is_kept(
    whole: Path, tmp_path: Path, capsys, name: str
) -> None:
    out = tmp_path / "out"
    import_published(whole, out)
    mine = out / "main" / name
    edited = mine.read_bytes() + b" "
    if name == "provenance.json":
        edited = edited.replace(b'"what": "main', b'"what": "my own')
    mine.write_bytes(edited)
    assert imported(whole, out) == 2
    error = capsys.readouterr().err
    assert f"{mine}" in error and "--force to replace it" in error and mine.read_bytes() == edited
    assert error.count(str(out / "main")) == 1  # that file alone
    assert imported(whole, out, "--force") == 0 and mine.read_bytes() != edited
    assert imported(whole, out) == 0


def test_an_import_that_was_stopped_goes_on(whole: Path, tmp_path: Path, monkeypatch) -> None:
    write, left = disk.write, []

    def stops(path: Path, data: bytes | str) -> Path:
        left.append(path.name)
        if path.name == "metrics.csv":
            raise KeyboardInterrupt
        return write(path, data)

    monkeypatch.setattr(disk, "write", stops)
    with pytest.raises(KeyboardInterrupt):
        import_published(whole, tmp_path / "out")
    monkeypatch.undo()
    assert left[-4:] == ["provenance.json", "study.toml", "metrics.parquet", "metrics.csv"]
    assert imported(whole, tmp_path / "out") == 0
