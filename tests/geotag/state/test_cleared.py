"""A landmark that the user cleared: no later scan brings it back, in the photo or in the table."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from geotag.cli import cli
from geotag.records import Outcome, Status
from geotag.sources.base import Filters
from geotag.sources.content import picture_key
from geotag.sources.local import LocalSource
from geotag.state.catalog import open_catalog
from geotag.tables import read_table, write_table
from tests.conftest import WritePhoto, picture

ROOT = Path(__file__).resolve().parents[3]
TAG = b"Eiffel Tower"
# `geotag write`, killed at a step: a statement of the catalog, or before or after a file operation.
KILLED_WRITE = """
import os, sqlite3, sys
from geotag.cli import cli
from tests.geotag.kill_driver import Steps
steps, connect = Steps(int(sys.argv[2])), sqlite3.connect
def traced(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_trace_callback(steps.take)
    return connection
sqlite3.connect = traced
for name in ("fsync", "replace", "utime"):
    setattr(os, name, steps.before(getattr(os, name)))
cli(["write", sys.argv[1]], standalone_mode=False)
print(steps.taken)
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


class Library:
    """A folder of photos, the table that is scanned to, and a model."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.photos, self.model = folder / "photos", model
        self.table = folder / "tags.csv"

    def scan(self, *options: object) -> Result:
        """The nightly job."""
        return run(
            "scan", self.photos, "--out", self.table, "--model", self.model, "--write", *options
        )

    def write(self, *options: object) -> Result:
        """What the user does after an edit of the table."""
        return run("write", self.table, *options)

    def rows(self) -> dict[str, Outcome]:
        """The table by file name."""
        return {Path(row.path).name: row for row in read_table(self.table)}

    def edit(self, name: str, **cells: object) -> None:
        """Change a row of the table, as in a spreadsheet."""
        rows = [
            row._replace(**cells) if Path(row.path).name == name else row  # type: ignore[arg-type]
            for row in read_table(self.table)
        ]
        write_table(str(self.table), rows)

    def clear(self, name: str) -> None:
        """Clear the landmark, and nothing else."""
        self.edit(name, landmark="")


@pytest.fixture
def library(
    tmp_path: Path,
    write_photo: WritePhoto,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Library:
    """Two photos of the Eiffel Tower, scanned and tagged."""
    monkeypatch.chdir(tmp_path)
    write_photo("wrong.jpg", "eiffel_tower")
    write_photo("right.jpg", "eiffel_tower", seed=1)
    library = Library(tmp_path, model_path)
    library.scan()
    assert TAG in (library.photos / "wrong.jpg").read_bytes()
    return library


@pytest.fixture
def cleared(library: Library) -> Library:
    """The same after the user cleared the tag of wrong.jpg."""
    library.clear("wrong.jpg")
    assert "1 photo written" in library.write().stderr
    assert TAG not in (library.photos / "wrong.jpg").read_bytes()
    return library


def check_stays_clear(library: Library, name: str = "wrong.jpg", *options: object) -> None:
    before = (library.photos / name).read_bytes()
    library.scan(*options)
    row = library.rows()[name]
    assert (row.status, row.landmark, row.category_id) == (Status.NO_LANDMARK, "", None)
    assert (row.latitude, row.longitude, row.position_source) == (None, None, "")
    assert (library.photos / name).read_bytes() == before
    assert TAG not in before


def is_tagged(library: Library, name: str = "wrong.jpg") -> bool:
    row = library.rows()[name]
    assert (row.status is Status.TAGGED) == bool(row.landmark)
    assert (TAG in (library.photos / name).read_bytes()) == bool(row.landmark)
    return bool(row.landmark)


@pytest.mark.parametrize("options", [(), ("--threshold", 0.3), ("--rescan",), ("--prune",)])
def test_cleared_landmark_stays_cleared(cleared: Library, options: tuple[object, ...]) -> None:
    check_stays_clear(cleared, "wrong.jpg", *options)
    check_stays_clear(cleared)
    assert is_tagged(cleared, "right.jpg")
    told = cleared.write().stderr
    assert "0 photos written, 1 already up to date, 1 left alone: 1 without a landmark" in told


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_any_table_may_clear(library: Library, suffix: str) -> None:
    library.table = library.table.with_suffix(f".{suffix}")
    library.scan()
    library.clear("wrong.jpg")
    library.write()
    check_stays_clear(library)


def test_cleared_before_anything_was_written(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    before = write_photo("wrong.jpg", "eiffel_tower").read_bytes()
    library = Library(tmp_path, model_path)
    run("scan", library.photos, "--out", library.table, "--model", model_path)
    library.clear("wrong.jpg")
    assert "0 photos written, 1 already up to date\n" in library.write().stderr
    check_stays_clear(library)
    assert (library.photos / "wrong.jpg").read_bytes() == before


@pytest.mark.parametrize("landmark", ["Taj Mahal", "Eiffel Tower"])
def test_landmark_given_later_takes_the_answer_back(cleared: Library, landmark: str) -> None:
    cleared.scan()
    cleared.edit("wrong.jpg", landmark=landmark)
    assert "1 photo written" in cleared.write().stderr
    written = (cleared.photos / "wrong.jpg").read_bytes()
    assert landmark.encode() in written
    cleared.scan()
    assert (cleared.photos / "wrong.jpg").read_bytes() == written
    assert cleared.rows()["wrong.jpg"].status is Status.TAGGED


def test_landmark_put_back_in_the_same_table_takes_the_answer_back(cleared: Library) -> None:
    cleared.edit("wrong.jpg", landmark="Eiffel Tower")
    cleared.write()
    assert is_tagged(cleared)
    cleared.scan()
    assert is_tagged(cleared)


def test_dry_run_remembers_nothing(library: Library) -> None:
    library.clear("wrong.jpg")
    assert "1 photo would be written" in library.write("--dry-run").stderr
    library.scan()
    assert is_tagged(library)


@pytest.mark.parametrize("status", [Status.UNCERTAIN, Status.NO_LANDMARK])
def test_empty_row_of_an_unsure_model_is_no_answer(library: Library, status: Status) -> None:
    older = library.table.with_name("older.csv")
    empty = Outcome("", status, top_k=library.rows()["wrong.jpg"].top_k)
    write_table(str(older), [empty._replace(path=row.path) for row in library.rows().values()])
    before = (library.photos / "wrong.jpg").read_bytes()
    run("write", older, "--catalog", f"{library.table}.geotag")
    library.scan()
    assert is_tagged(library)
    assert (library.photos / "wrong.jpg").read_bytes() == before


def test_what_a_scan_found_meanwhile_is_no_word_of_the_users(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's write comes between the nightly scan and its own write."""
    from geotag.cli import write as writing

    nightly, users = writing.write_tags, library.table.with_name("users.csv")
    shutil.copy(library.table, users)
    write_table(str(users), [r._replace(landmark="") for r in read_table(users)])

    def late(*arguments: object) -> int:
        monkeypatch.setattr(writing, "write_tags", nightly)
        run("write", users, "--catalog", f"{library.table}.geotag")
        return nightly(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "write_tags", late)
    library.scan()
    assert TAG not in (library.photos / "wrong.jpg").read_bytes()
    check_stays_clear(library)


def rename(library: Library) -> str:
    (library.photos / "wrong.jpg").rename(library.photos / "renamed.jpg")
    return "renamed.jpg"


def edit_elsewhere(library: Library) -> str:
    """Another program writes a comment and Exif into the photo."""
    photo = library.photos / "wrong.jpg"
    subprocess.run(
        ["exiftool", "-q", "-overwrite_original", "-Comment=mine", "-Artist=me", str(photo)],
        check=True,
    )
    return "wrong.jpg"


def touch(library: Library) -> str:
    os.utime(library.photos / "wrong.jpg", ns=(1, 1))
    return "wrong.jpg"


def lose_the_readings(library: Library) -> str:
    """A damaged catalog: the photos are read again, what the user said is kept."""
    catalog = Path(f"{library.table}.geotag")
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute("UPDATE photos SET checksum = 0")
    return "wrong.jpg"


@pytest.mark.parametrize("change", [rename, edit_elsewhere, touch, lose_the_readings])
def test_answer_stays_with_the_picture(cleared: Library, change: Callable[[Library], str]) -> None:
    if change is edit_elsewhere and shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    check_stays_clear(cleared, change(cleared))
    assert is_tagged(cleared, "right.jpg")


def test_another_picture_of_the_same_name_begins_anew(
    cleared: Library, write_photo: WritePhoto
) -> None:
    write_photo("wrong.jpg", "eiffel_tower", seed=7)
    cleared.scan()
    assert is_tagged(cleared)


def test_another_picture_of_the_same_size_is_not_refused(
    cleared: Library, write_photo: WritePhoto
) -> None:
    size = (cleared.photos / "wrong.jpg").stat().st_size
    other = write_photo("other.jpg", "eiffel_tower", seed=7)
    assert other.stat().st_size <= size
    other.write_bytes(other.read_bytes().ljust(size, b"\0"))
    cleared.scan()
    assert is_tagged(cleared, "other.jpg")


def test_reverted_runs_take_their_answers_with_them(cleared: Library) -> None:
    run("revert", "--last")
    assert TAG in (cleared.photos / "wrong.jpg").read_bytes()
    cleared.scan()
    assert is_tagged(cleared)
    cleared.clear("wrong.jpg")
    cleared.write()
    cleared.edit("wrong.jpg", landmark="Taj Mahal")
    cleared.write()
    run("revert", "--last")
    check_stays_clear(cleared)


def test_clearing_in_a_table_that_no_scan_will_read_is_warned_of(
    library: Library,
) -> None:
    library.clear("wrong.jpg")
    other = library.table.with_name("other.csv")
    shutil.copy(library.table, other)
    assert "has no scan of" not in library.write().stderr
    assert "other.csv.geotag has no scan of 1 photo" in run("write", other).stderr


def test_photo_that_could_not_be_cleared_is_cleared_by_the_next_scan(library: Library) -> None:
    photo = library.photos / "wrong.jpg"
    photo.chmod(0o444)
    library.clear("wrong.jpg")
    assert library.write().return_value == 3
    assert library.scan().return_value == 3
    photo.chmod(0o644)
    library.scan()
    check_stays_clear(library)


@pytest.mark.slow
def test_killed_in_between_the_answer_is_whole_or_not_at_all(library: Library) -> None:
    library.clear("wrong.jpg")
    folder, kept = library.table.parent, library.table.parent.with_name("kept")
    shutil.copytree(folder, kept)

    def write_until(step: int) -> str:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        command = [sys.executable, "-c", KILLED_WRITE, str(library.table), str(step)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == (-9 if step else 0), done.stderr
        return done.stdout

    outcomes = set()
    last = int(write_until(0))
    for step in range(last // 3, last, max(1, last // 14)):
        write_until(step)
        with open_catalog(f"{library.table}.geotag") as catalog:
            is_kept = catalog.cleared.is_cleared(str(library.photos / "wrong.jpg"))
        library.scan()
        assert is_tagged(library) is not is_kept
        outcomes.add(is_kept)
    assert outcomes == {True, False}


@pytest.mark.parametrize("name", ["wrong.jpg", "wrong.png"])
def test_photo_in_a_bucket(
    tmp_path: Path, bucket: Path, write_photo: WritePhoto, model_path: Path, name: str
) -> None:
    photo = bucket / name
    with Image.open(write_photo("wrong.jpg", "eiffel_tower")) as image:
        image.save(photo)
    table = tmp_path / "tags.csv"
    scan = ("scan", "s3://photos", "--out", table, "--model", model_path, "--write")
    run(*scan)
    sidecar = photo.with_name(f"{name}.xmp")
    assert TAG in sidecar.read_bytes()
    write_table(str(table), [row._replace(landmark="") for row in read_table(table)])
    assert "1 photo written" in run("write", table).stderr
    run(*scan)
    (row,) = read_table(table)
    assert (row.status, row.landmark) == (Status.NO_LANDMARK, "")
    assert TAG not in sidecar.read_bytes()


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_picture_key(tmp_path: Path, format: str) -> None:
    source = LocalSource(str(tmp_path), Filters())

    def key(seed: int, comment: bytes = b"") -> str:
        path = tmp_path / "a.photo"
        exif = Image.Exif()
        exif[0x9286] = comment
        options = {"exif": exif} if comment and format != "PNG" else {}
        picture("eiffel_tower", seed=seed).save(path, format, **options)
        return picture_key(source, next(LocalSource(str(path), Filters()).photos()))

    assert key(1) == key(1, b"comment") != key(2)


def test_damaged_jpeg_is_told_by_its_bytes(tmp_path: Path, write_photo: WritePhoto) -> None:
    source = LocalSource(str(tmp_path), Filters())
    photo = write_photo("a.jpg", "eiffel_tower")
    keys = set()
    for size in (150, 160):
        (tmp_path / "cut.jpg").write_bytes(photo.read_bytes()[:size])
        keys.add(
            picture_key(source, next(LocalSource(str(tmp_path / "cut.jpg"), Filters()).photos()))
        )
    assert len(keys) == 2
