"""What is not there: photos that are gone, and photos that cannot be seen for the time being."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from geotag.cli import main
from geotag.errors import AbsenceError, GeotagError
from geotag.pipeline import ScanOptions, scan_library
from geotag.sources.base import Filters
from geotag.state.summary import Summary
from geotag.tables import read_table
from tests.conftest import WritePhoto, gps_ifd


@pytest.fixture
def folders(tmp_path: Path, write_photo: WritePhoto) -> tuple[Path, Path]:
    """Six photos in a folder, two in another; no network is needed."""
    for number in range(8):
        name = f"{'a' if number < 6 else 'b'}/{number}.jpg"
        write_photo(name, seed=number, gps=gps_ifd(48, number + 1))
    return tmp_path / "photos" / "a", tmp_path / "photos" / "b"


Scan = Callable[..., Summary]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "tags.csv"


@pytest.fixture
def scan(table: Path, model_path: Path) -> Scan:
    def run(*sources: Path, **options: object) -> Summary:
        settings = ScanOptions(model=model_path, **options)  # type: ignore[arg-type]
        return scan_library(list(map(str, sources)), str(table), settings)

    return run


def state(table: Path) -> list[bytes]:
    """Table and catalog, byte for byte."""
    return [table.read_bytes(), Path(f"{table}.geotag").read_bytes()]


def names(table: Path) -> str:
    return "".join(Path(row.path).stem for row in read_table(table))


def empty(folder: Path) -> None:
    """As when what is mounted there is not."""
    folder.rename(folder.parent.with_name(f"away-{folder.name}"))
    folder.mkdir()


def test_a_source_that_had_photos_and_has_none_changes_nothing(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(*folders)
    before = state(table)
    empty(folders[1])
    for options in ({}, {"prune": True}, {"replace": True}):
        with pytest.raises(AbsenceError, match=r"photos/b: no photo was found here, where 2 were"):
            scan(*folders, **options)
    assert state(table) == before
    summary = scan(*folders, allow_empty=True)
    assert (summary.total, names(table)) == (6, "012345")
    assert scan(*folders).total == 6  # it is known to be empty now
    assert scan(*folders, prune=True).forgotten == 0
    assert scan(*folders, prune=True, allow_empty=True).forgotten == 2


@pytest.mark.parametrize("follow_symlinks", [False, True])
def test_a_folder_inside_that_is_empty_now_keeps_its_rows(
    folders: tuple[Path, Path],
    table: Path,
    scan: Scan,
    caplog: pytest.LogCaptureFixture,
    follow_symlinks: bool,
) -> None:
    library, options = folders[0].parent, {"filters": Filters(follow_symlinks=follow_symlinks)}
    if follow_symlinks:
        folders[1].rename(library.with_name("drive"))
        folders[1].symlink_to(library.with_name("drive"))
    scan(library, **options)
    before = table.read_bytes()
    if follow_symlinks:  # where a drive is mounted, there is no folder without it
        library.with_name("drive").rename(library.with_name("elsewhere"))
    else:
        empty(folders[1])
    for also in ({}, {"prune": True}, {"rescan": True}):
        summary = scan(library, **options, **also)
        assert (summary.total, summary.skipped.get("emptied folder", 0), summary.forgotten) == (
            8,
            1,
            0,
        )
        assert table.read_bytes() == before
    assert "b: nothing is here, where 2 photos were: is it mounted?" in caplog.text
    assert scan(library, allow_empty=True, **options).total == 6
    summary = scan(library, **options)  # it is known to be empty now
    assert (summary.total, summary.skipped.get("emptied folder", 0)) == (6, 0)


def test_photos_that_were_deleted_before_do_not_come_back_with_their_folder(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(folders[0].parent)
    (folders[1] / "6.jpg").unlink()
    assert scan(folders[0].parent).total == 7
    empty(folders[1])
    assert scan(folders[0].parent).total == 7
    assert names(table) == "0123457"


def test_a_folder_whose_photos_were_moved_elsewhere_is_no_absence(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(folders[0].parent)
    (folders[1] / "6.jpg").rename(folders[0] / "9.jpg")
    (folders[1] / "7.jpg").rename(folders[0] / "8.jpg")
    for _ in range(2):
        summary = scan(folders[0].parent)
        assert (summary.total, summary.skipped.get("emptied folder", 0)) == (8, 0)
    assert names(table) == "01234589"


def test_include_that_matches_nothing_changes_nothing(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(folders[0])
    before = state(table)
    with pytest.raises(AbsenceError, match="--include"):
        scan(folders[0], filters=Filters(include=("*.jpgg",)))
    with pytest.raises(AbsenceError, match="has 6 rows and would keep 2"):
        scan(folders[0], filters=Filters(include=("0.jpg", "1.jpg")))
    assert state(table) == before


def test_a_table_that_would_lose_most_of_its_rows_is_left(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(*folders)
    for number in range(3):
        (folders[0] / f"{number}.jpg").unlink()
    assert scan(*folders).total == 5
    (folders[0] / "3.jpg").unlink()
    (folders[0] / "4.jpg").unlink()
    (folders[1] / "6.jpg").unlink()
    before = state(table)
    with pytest.raises(AbsenceError, match="has 5 rows and would keep 2, so it was left as it is"):
        scan(*folders)
    assert state(table) == before
    assert scan(*folders, allow_empty=True).total == 2


def test_a_library_all_of_whose_photos_were_renamed_is_no_loss(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(folders[0])
    folders[0].joinpath("sub").mkdir()
    for photo in folders[0].glob("*.jpg"):
        photo.rename(folders[0] / "sub" / photo.name)
    before = table.read_bytes()
    with pytest.raises(AbsenceError, match="would keep 2"):  # as many were read by then
        scan(folders[0], limit=2)
    assert table.read_bytes() == before
    assert scan(folders[0]).read == 4
    assert names(table) == "012345"


def test_another_library_is_refused(folders: tuple[Path, Path], table: Path, scan: Scan) -> None:
    scan(folders[0])
    before = state(table)
    for options in ({}, {"allow_empty": True}):
        with pytest.raises(AbsenceError, match=r"holds another library \(.*photos/a\)"):
            scan(folders[1], **options)
    assert state(table) == before
    assert scan(folders[1], replace=True).total == 2
    assert names(table) == "67"


@pytest.mark.parametrize("is_known", [True, False])
def test_more_folders_and_fewer_are_the_same_library(
    folders: tuple[Path, Path], table: Path, scan: Scan, is_known: bool
) -> None:
    scan(folders[0])
    for sources in (folders, (folders[0].parent,), folders, (folders[0],)):
        if not is_known:
            os.unlink(f"{table}.geotag")
        scan(*sources)
    assert names(table) == "012345"


def test_a_table_of_which_no_catalog_knows_is_judged_by_its_rows(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(folders[0])
    catalog = Path(f"{table}.geotag")
    catalog.unlink()
    before = table.read_bytes()
    with pytest.raises(AbsenceError, match="another library"):
        scan(folders[1])
    with pytest.raises(AbsenceError, match="has 6 rows and would keep 1"):
        scan(folders[0], limit=1)
    assert table.read_bytes() == before
    assert scan(folders[0]).read == 5
    table.write_text("my,own\nlist,of things\n")
    catalog.unlink()
    with pytest.raises(AbsenceError, match="is no table that geotag wrote"):
        scan(folders[0])
    assert table.read_text() == "my,own\nlist,of things\n"
    assert scan(folders[0], replace=True).total == 6
    catalog.unlink()
    table.write_bytes(b"")  # as mktemp leaves it
    assert scan(folders[0]).total == 6


def test_prune_judges_each_source_by_itself(
    folders: tuple[Path, Path], table: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[0] / "locked").mkdir()
    (folders[0] / "locked" / "notes.txt").touch()  # so that it is no empty one
    shutil.copy(folders[0] / "1.jpg", folders[0] / "locked" / "7.jpg")
    scan(*folders)
    (folders[0] / "0.jpg").unlink()
    (folders[0] / "locked" / "7.jpg").unlink()
    (folders[1] / "6.jpg").unlink()
    look = os.scandir

    def scandir(path: bytes | Path) -> object:
        if os.fsencode(path).endswith(b"locked"):
            raise PermissionError(13, "Permission denied")
        return look(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        assert scan(*folders, prune=True).forgotten == 2
    assert scan(*folders, prune=True).forgotten == 1


def test_prune_keeps_what_is_excluded(folders: tuple[Path, Path], table: Path, scan: Scan) -> None:
    scan(folders[0])
    (folders[0] / "5.jpg").unlink()
    filters = Filters(exclude=("0.jpg", "5.jpg"))
    assert scan(folders[0], filters=filters, prune=True).forgotten == 0
    assert scan(folders[0], prune=True).forgotten == 1
    assert scan(folders[0]).unchanged == 5


def test_prune_forgets_a_source_that_is_given_no_more(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(*folders)
    assert scan(folders[0], prune=True).forgotten == 2
    assert scan(*folders).read == 2


def test_prune_keeps_what_another_table_of_the_catalog_holds(
    folders: tuple[Path, Path], tmp_path: Path, table: Path, scan: Scan
) -> None:
    scan(folders[0])
    catalog = f"{table}.geotag"
    options = ScanOptions(model=None, catalog=catalog)
    scan_library([str(folders[1])], str(tmp_path / "other.csv"), options)
    assert scan(folders[0], prune=True).forgotten == 0


def test_the_command_says_it_in_one_line(
    folders: tuple[Path, Path], table: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as caught:
            main(["scan", *map(str, arguments), "--out", str(table), "--model", str(model_path)])
        return int(caught.value.code or 0)

    assert run(folders[1]) == 0
    empty(folders[1])
    capsys.readouterr()
    assert run(folders[1]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("geotag: ") and line.endswith("once with --allow-empty")
    assert run(folders[1], "--allow-empty") == 0
    assert run(folders[0]) == 1
    assert "give another --out, or --replace" in capsys.readouterr().err
    assert run(folders[0], "--replace") == 0
    assert run(folders[0].parent) == 0
    empty(folders[0])
    assert run(folders[0].parent) == 1


def test_a_folder_that_is_not_there_changes_nothing(
    folders: tuple[Path, Path], table: Path, scan: Scan
) -> None:
    scan(*folders)
    before = state(table)
    shutil.rmtree(folders[1])
    with pytest.raises(GeotagError, match="no such file or folder"):
        scan(*folders)
    assert state(table) == before


def test_a_folder_that_cannot_be_looked_into_ends_with_3(
    tmp_path: Path, model_path: Path, write_photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = write_photo("1/a.jpg", gps=gps_ifd(1, 2)).parent, tmp_path / "tags.csv"
    write_photo("b.jpg", gps=gps_ifd(1, 2))
    command = ["scan", str(folder.parent), "--out", str(table), "--model", str(model_path)]
    look = os.scandir

    def scandir(path: str | bytes) -> object:
        if os.fsencode(path) == os.fsencode(folder):
            raise OSError(5, "Input/output error")
        return look(path)

    def code() -> int:
        with pytest.raises(SystemExit) as end:
            main(command)
        return int(str(end.value.code))

    assert code() == 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        assert code() == 3
    assert len(list(read_table(table))) == 2
    assert code() == 0
