"""geotag convert, and scans into files for maps, as a shell sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from geotag.cli import main
from geotag.tables import MAPS, TABLES, read_table, write_table
from tests.conftest import WritePhoto, gps_ifd
from tests.geotag.tables.test_tables import ROWS


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "tags.csv"
    write_table(str(path), ROWS)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    return int(caught.value.code or 0)


@pytest.mark.parametrize("target", sorted(TABLES))
@pytest.mark.parametrize("source", sorted(TABLES))
def test_from_any_format_to_any(tmp_path: Path, source: str, target: str) -> None:
    table, out = tmp_path / f"a{source}", tmp_path / f"b{target}"
    write_table(str(table), ROWS)
    assert run("convert", table, "--out", out) == 0
    assert list(read_table(out)) == ROWS


@pytest.mark.parametrize("suffix", sorted(MAPS))
def test_for_maps(table: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.with_suffix(suffix)
    assert run("convert", table, "--out", out) == 0
    assert capsys.readouterr().err == f"{out}: 2 rows, 2 without a position left out\n"
    assert run("convert", table, "--out", out, "--replace", "--quiet") == 0
    assert capsys.readouterr().err == ""
    for command in (["convert", out, "--out", table, "--replace"], ["write", out]):
        assert run(*command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"geotag: {out}: ") and "does not read it" in line
    assert list(read_table(table)) == ROWS


def test_what_is_there_is_kept(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    track = table.with_name("track.gpx")
    track.write_text("<gpx/>")
    assert run("convert", table, "--out", track) == 2
    assert "--replace to lose what it holds" in capsys.readouterr().err
    assert track.read_text() == "<gpx/>"
    assert run("convert", table, "--out", table, "--replace") == 2
    assert list(read_table(table)) == ROWS


def test_a_wrong_row_leaves_no_file(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text("path,latitude\n/a.jpg,1\n/b.jpg,north\n")
    out = table.with_suffix(".kml")
    assert run("convert", table, "--out", out) == 1
    assert "row 2: latitude is not a number" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("suffix", sorted(MAPS))
def test_scans_into_files_for_maps(
    tmp_path: Path,
    write_photo: WritePhoto,
    model_path: Path,
    suffix: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rows without a position are left out of the file, and not lost to the next scan."""
    photos = write_photo("a.jpg", gps=gps_ifd(48, 2)).parent
    for number in range(3):
        write_photo(f"{number}.jpg", seed=number)
    out = tmp_path / f"tags{suffix}"
    command = ("scan", photos, "--out", out, "--model", model_path)
    assert run(*command) == 0
    first = out.read_bytes()
    assert first.count(b"a.jpg</name>") == 1 and b"0.jpg" not in first
    assert run(*command) == 0 and out.read_bytes() == first
    write_photo("b.jpg", seed=9, gps=gps_ifd(49, 2))
    assert run(*command) == 0
    assert b"b.jpg</name>" in out.read_bytes()

    Path(f"{out}.geotag").unlink()
    out.write_text("my own track")
    capsys.readouterr()
    assert run(*command) == 1
    assert "no scan with this catalog wrote it" in capsys.readouterr().err
    assert out.read_text() == "my own track"
    assert run(*command, "--replace") == 0 and b"b.jpg</name>" in out.read_bytes()
    assert run(*command, "--write") == 2
    assert "does not read it" in capsys.readouterr().err
