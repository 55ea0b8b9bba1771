"""Rows into photos and sidecars, and back."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geotag.errors import CatalogError
from geotag.files.paths import format_path
from geotag.metadata.exif import parse_metadata
from geotag.records import (
    Metadata,
    Outcome,
    Photo,
    Prediction,
    Reading,
    Score,
    Status,
    TopCategory,
)
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from geotag.state.catalog import Catalog, Criteria, open_catalog
from geotag.state.journal import Journal
from geotag.writing.blocks.xmp import XmpPacket, parse_packet
from geotag.writing.files import files_of
from geotag.writing.replace import Original
from geotag.writing.result import Action, WriteResult
from geotag.writing.revert import revert_run
from geotag.writing.writeback import WriteOptions, write_back, write_run
from tests.geotag.writing.kinds import made
from tests.geotag.writing.samples import (
    SUBJECTS,
    container_of,
    picture,
    save,
    with_segments,
    xmp_packet,
    xmp_segment,
)

EXIF = "xmlns:exif='http://ns.adobe.com/exif/1.0/'"
TOP = (TopCategory(3, "x", "Eiffel Tower", 0.93),)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the disk when the power fails is the crash test's matter; waiting takes long."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    return path


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(tmp_path / "t.csv.geotag") as opened:
        yield opened


@pytest.fixture
def write(catalog: Catalog) -> Callable[..., WriteResult]:
    """Writes one photo's row; options as for WriteOptions, cells as for a row."""

    def run(path: Path | str, **settings: object) -> WriteResult:
        names = WriteOptions._fields
        options = {name: settings.pop(name) for name in names if name in settings}
        row = tagged(path)._replace(**settings)  # type: ignore[arg-type]
        (result,) = write_run([row], catalog, WriteOptions(**options), "test")  # type: ignore[arg-type]
        return result

    return run


def tagged(path: Path | str) -> Outcome:
    return Outcome(
        format_path(str(path)), Status.TAGGED, landmark="Eiffel Tower", confidence=0.93, top_k=TOP
    )


def add(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def sidecar_of(path: Path) -> XmpPacket:
    return parse_packet(path.with_name(path.name + ".xmp").read_bytes())


Write = Callable[..., WriteResult]


def test_jpeg_takes_its_tags_inside(folder: Path, write: Write) -> None:
    photo = add(folder, "a.jpg", made("everything.jpg"))
    result = write(photo)
    assert (result.action, result.files, result.into_sidecar) == (
        Action.WRITTEN,
        (str(photo),),
        False,
    )
    assert os.listdir(folder) == ["a.jpg"]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "GIF"])
def test_other_formats_get_a_sidecar_and_stay_as_they_are(
    folder: Path, write: Write, format: str
) -> None:
    photo = add(folder, f"a.{format.lower()}", save(picture("L"), format))
    before = photo.read_bytes()
    assert write(photo).into_sidecar
    assert photo.read_bytes() == before
    assert sidecar_of(photo).text("exif:GPSDestLatitude").endswith("N")


def test_photo_that_would_come_to_harm_gets_a_sidecar_and_says_why(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "a.jpg", made("c2pa.jpg"))
    result = write(photo)
    assert result.action is Action.WRITTEN and "C2PA" in result.reason
    assert photo.read_bytes() == made("c2pa.jpg")
    assert write(photo).action is Action.UNCHANGED


def test_new_sidecar_holds_the_keywords_of_the_photo(folder: Path, write: Write) -> None:
    photo = add(folder, "a.jpg", made("xmp.jpg"))
    write(photo, sidecar=True)
    assert photo.read_bytes() == made("xmp.jpg")
    assert sidecar_of(photo).items("dc:subject") == ("holiday", "été", "Eiffel Tower")


@pytest.mark.parametrize("name", ["a.png.xmp", "a.png.XMP", "a.xmp", "a.XMP"])
def test_sidecar_that_exists_is_edited(folder: Path, write: Write, name: str) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    sidecar = add(folder, name, xmp_packet(SUBJECTS))
    write(photo)
    assert sorted(os.listdir(folder)) == sorted(["a.png", name])
    packet = parse_packet(sidecar.read_bytes())
    assert packet.items("dc:subject") == ("holiday", "été", "Eiffel Tower")
    assert b"kept &amp; sound" in sidecar.read_bytes()


def test_photo_that_speaks_of_another_place_gets_no_city_in_its_sidecar_either_time(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "b.jpg", made("xmp_place.jpg"))
    for action in (Action.WRITTEN, Action.UNCHANGED):
        assert write(photo, sidecar=True).action is action
        assert not sidecar_of(photo).has("photoshop:City")


def test_sidecar_of_several_photos_is_refused(folder: Path, write: Write) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    add(folder, "a.CR2", b"another photo")
    sidecar = add(folder, "a.xmp", xmp_packet())
    result = write(photo)
    assert result.action is Action.FAILED and "a.CR2" in result.reason
    assert sidecar.read_bytes() == xmp_packet()


@pytest.mark.parametrize("other", ["a.mov", "a.txt", "a.PP3", "a", "a.jpeg", "a.Jpeg", "a.é"])
def test_sidecar_of_a_photo_and_any_other_file_is_left_alone(
    folder: Path, write: Write, other: str
) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    add(folder, other, b"of whatever kind")
    add(folder, "ab.mov", b"of another stem")
    (folder / "a.folder").mkdir()
    sidecar = add(folder, "a.xmp", xmp_packet())
    result = write(photo)
    assert result.action is Action.FAILED and f"serves {other} as well" in result.reason
    assert sidecar.read_bytes() == xmp_packet()
    (folder / other).unlink()
    assert write(photo).files == (str(sidecar),)


def failing(monkeypatch: pytest.MonkeyPatch, function: str, name: str, number: int) -> None:
    """A disk that gives no answer about files whose names end so."""
    real = getattr(os, function)

    def fail(path: object, *arguments: object, **options: object) -> object:
        if isinstance(path, (str, bytes)) and os.fsdecode(path).endswith(name):
            raise OSError(number, os.strerror(number), path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, function, fail)


@pytest.mark.parametrize("function", ["open", "lstat"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("position", [False, True])
def test_sidecar_that_cannot_be_read_now_leaves_all_alone(
    folder: Path,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    name: str,
    position: bool,
) -> None:
    data = made("plain.jpg") if name == "a.jpg" else save(picture(), "PNG")
    photo, sidecar = add(folder, name, data), add(folder, f"{name}.xmp", xmp_packet())
    failing(monkeypatch, function, ".xmp", errno.EIO)
    result = write(photo, position=position)
    monkeypatch.undo()
    assert result.action is Action.FAILED
    assert ".xmp" in result.reason or "cannot be" in result.reason
    assert (photo.read_bytes(), sidecar.read_bytes()) == (data, xmp_packet())
    assert sorted(os.listdir(folder)) == [name, f"{name}.xmp"]


@pytest.mark.parametrize("function", ["open", "lstat", "pread"])
def test_photo_that_cannot_be_read_now_is_left_alone(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    data = made("everything.jpg")
    photo = add(folder, "a.jpg", data)
    if function == "pread":
        error = OSError(errno.EIO, "Input/output error")
        monkeypatch.setattr(os, "pread", lambda *arguments: (_ for _ in ()).throw(error))
    else:
        failing(monkeypatch, function, "a.jpg", errno.EIO)
    result = write(photo, position=True)
    monkeypatch.undo()
    assert result.action is Action.FAILED and result.reason
    assert photo.read_bytes() == data
    assert os.listdir(folder) == ["a.jpg"]


@pytest.mark.parametrize("place", ["packet", "sidecar"])
def test_position_that_is_not_understood_keeps_ours_out_and_is_told(
    folder: Path, write: Write, place: str
) -> None:
    space = "xmlns:exif='http://ns.adobe.com/exif/1.0/'"
    packet = xmp_packet(
        attributes=f"{space} exif:GPSLatitude='48 degrees' exif:GPSLongitude='2 or so'"
    )
    blocks = [xmp_segment(packet)] if place == "packet" else []
    photo = add(folder, "a.jpg", with_segments(made("plain.jpg"), *blocks))
    if place == "sidecar":
        add(folder, "a.jpg.xmp", packet)
    result = write(photo, position=True)
    assert result.action is Action.WRITTEN and "position" in result.reason
    new = photo.read_bytes()
    assert parse_metadata(container_of(new).block("exif") or b"").location is None
    assert not any(change.field == "EXIF GPSLatitude" for change in result.changes)


def test_what_a_parser_stumbles_over_is_that_photos_row(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = add(folder, "a.jpg", made("everything.jpg"))

    def stumble(self: object, *arguments: object) -> None:
        raise ZeroDivisionError("in somebody's decoder")

    monkeypatch.setattr("lxml.etree.fromstring", stumble)
    result = write(photo)
    assert result.action is Action.FAILED and "ZeroDivisionError" in result.reason
    assert photo.read_bytes() == made("everything.jpg")


@pytest.mark.parametrize("error", [RuntimeError, ZeroDivisionError, EOFError, MemoryError])
def test_what_a_decoder_raises_does_not_end_a_write(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(self: object) -> None:
        raise error("whatever it likes")

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", fail)
    photo = add(folder, "a.jpg", made("plain.jpg"))
    assert write(photo).action is Action.WRITTEN


def test_damaged_sidecar_is_left_alone(folder: Path, write: Write) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    sidecar = add(folder, "a.png.xmp", xmp_packet()[:300])
    result = write(photo)
    assert result.action is Action.FAILED and "sidecar" in result.reason
    assert sidecar.read_bytes() == xmp_packet()[:300]


def test_sidecar_written_before_follows_when_the_photo_is_tagged_anew(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "a.jpg", made("exif_big_1.jpg"))
    write(photo, sidecar=True)
    write(photo, landmark="Taj Mahal")
    assert sidecar_of(photo).items("dc:subject") == ("Taj Mahal",)
    packet = parse_packet(container_of(photo.read_bytes()).block("xmp") or b"")
    assert packet.items("dc:subject") == ("Taj Mahal",)


def test_cleared_row_takes_the_tags_back_from_photo_and_sidecar(folder: Path, write: Write) -> None:
    photo = add(folder, "a.jpg", made("exif_big_1.jpg"))
    write(photo, sidecar=True)
    write(photo)
    result = write(photo, landmark="")
    assert len(result.files) == 2
    assert not sidecar_of(photo).has("geotag:Source")
    assert write(photo, landmark="").action is Action.UNCHANGED


def test_users_word_is_marked_as_such(folder: Path, write: Write) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    write(photo, landmark="taj mahal")
    packet = sidecar_of(photo)
    assert packet.text("geotag:Source") == "user"
    assert packet.items("dc:subject") == ("Taj Mahal",)
    assert not packet.has("geotag:Model")


def test_measured_position_in_a_sidecar_keeps_ours_out_of_the_photo(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "a.jpg", made("exif_big_1.jpg"))
    add(
        folder,
        "a.jpg.xmp",
        xmp_packet(attributes=f"{EXIF} exif:GPSLatitude='33,51.5S' exif:GPSLongitude='151,12.6E'"),
    )
    write(photo, position=True)
    tiff = container_of(photo.read_bytes()).block("exif") or b""
    assert b"geotag inferred" not in tiff and parse_metadata(tiff).location is None


def test_measured_position_in_a_photo_keeps_ours_out_of_the_sidecar(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "a.jpg", made("measured_big.jpg"))
    write(photo, position=True, sidecar=True)
    assert not sidecar_of(photo).has("exif:GPSLatitude")
    assert sidecar_of(photo).has("exif:GPSDestLatitude")


def test_measured_position_in_the_xmp_of_a_tiff_keeps_ours_out_of_the_sidecar(
    folder: Path, write: Write
) -> None:
    measured = f"{EXIF} exif:GPSLatitude='33,51.5S' exif:GPSLongitude='151,12.6E'"
    packet = xmp_packet(SUBJECTS, measured)
    photo = add(folder, "a.tiff", save(picture(), "TIFF", tiffinfo={700: packet}))
    write(photo, position=True)
    assert not sidecar_of(photo).has("exif:GPSLatitude")
    assert sidecar_of(photo).items("dc:subject") == ("holiday", "été", "Eiffel Tower")


def test_position_goes_into_a_sidecar_under_our_mark(folder: Path, write: Write) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    write(photo, position=True)
    assert sidecar_of(photo).text("exif:GPSProcessingMethod") == "geotag inferred"
    assert sidecar_of(photo).text("exif:GPSLatitude").startswith("48,")


def test_confidence_and_globs_choose(folder: Path, write: Write, catalog: Catalog) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    low = write(photo, min_confidence=0.95)
    assert low.action is Action.LEFT_ALONE and "0.95" in low.reason
    assert not list(write_run([tagged(photo)], catalog, WriteOptions(only=("*.png",)), "t"))
    assert list(write_run([tagged(photo)], catalog, WriteOptions(only=("*/photos/*",)), "t"))


def test_dry_run_writes_nothing(folder: Path) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    (result,) = write_back([tagged(photo)], None, WriteOptions(dry_run=True), "r")
    assert "XMP dc:subject" in {change.field for change in result.changes}
    assert photo.read_bytes() == made("plain.jpg")
    assert os.listdir(folder) == ["a.jpg"]


def test_nothing_is_written_without_a_journal(folder: Path) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    with pytest.raises(CatalogError):
        list(write_back([tagged(photo)], None, WriteOptions(), "r"))
    assert photo.read_bytes() == made("plain.jpg")


def test_journal_that_cannot_be_written_keeps_the_photo_untouched(
    folder: Path, catalog: Catalog
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))

    def rows() -> Iterator[Outcome]:
        catalog.connection.execute("PRAGMA query_only = ON")
        yield tagged(photo)

    with pytest.raises(CatalogError):
        list(write_run(rows(), catalog, WriteOptions(), "r"))
    assert photo.read_bytes() == made("plain.jpg")


def link(photo: Path) -> None:
    photo.rename(photo.with_name("real.jpg"))
    photo.symlink_to("real.jpg")


@pytest.mark.parametrize(
    ("meddle", "word"),
    [
        (lambda p: p.chmod(0o444), "read-only"),
        (lambda p: p.with_name("b.jpg").hardlink_to(p), "hard link"),
        (link, "symbolic link"),
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(b"no photo"), "not a photo"),
        (lambda p: p.write_bytes(b""), "not a photo"),
    ],
    ids=["read-only", "hard link", "symlink", "vanished", "text", "empty"],
)
def test_what_cannot_be_written_is_a_row_with_the_reason(
    folder: Path, write: Write, meddle: Callable[[Path], object], word: str
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    meddle(photo)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    result = write(photo)
    assert result.action is Action.FAILED and word in result.reason
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.fixture
def bucket() -> Iterator[Callable[[str, bytes], str]]:
    """A bucket in memory; puts an object and returns its URI."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")

    def put(name: str, data: bytes) -> str:
        system.pipe_file(f"/bucket/{name}", data)
        return f"memory://bucket/{name}"

    yield put
    system.store.clear()


def test_photo_in_a_bucket_gets_a_sidecar_beside_it(
    bucket: Callable[[str, bytes], str], write: Write, catalog: Catalog
) -> None:
    photo = bucket("a.jpg", made("xmp.jpg"))
    result = write(photo, position=True)
    assert (result.action, result.files) == (Action.WRITTEN, (f"{photo}.xmp",))
    files = files_of(photo)
    assert files.read(photo).data == made("xmp.jpg")
    packet = parse_packet(files.read(f"{photo}.xmp").data)
    assert packet.items("dc:subject") == ("holiday", "été", "Eiffel Tower")
    assert write(photo, position=True).action is Action.UNCHANGED
    (reverted,) = revert_last(catalog)
    assert reverted.action is Action.REVERTED and not files.exists(f"{photo}.xmp")


def test_sidecar_in_a_bucket_is_edited_and_brought_back(
    bucket: Callable[[str, bytes], str], write: Write, catalog: Catalog
) -> None:
    photo = bucket("a.png", save(picture(), "PNG"))
    sidecar = bucket("a.xmp", xmp_packet(SUBJECTS))
    assert write(photo).files == (sidecar,)
    assert files_of(photo).read(sidecar).data != xmp_packet(SUBJECTS)
    assert revert_last(catalog)[0].action is Action.REVERTED
    assert files_of(photo).read(sidecar).data == xmp_packet(SUBJECTS)


def test_sidecar_that_another_changed_in_the_bucket_is_left_alone(
    bucket: Callable[[str, bytes], str], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = bucket("a.png", save(picture(), "PNG"))
    sidecar = bucket("a.png.xmp", xmp_packet())
    files = files_of(photo)
    read = files.read

    def read_then_change(path: str, force: bool = False) -> Original:
        original = read(path, force)
        bucket("a.png.xmp", xmp_packet(SUBJECTS))
        return original

    monkeypatch.setattr(files, "read", read_then_change)
    result = write(photo)
    monkeypatch.undo()
    assert result.action is Action.FAILED and "meanwhile" in result.reason
    assert files.read(sidecar).data == xmp_packet(SUBJECTS)


def test_photo_that_vanished_from_a_bucket_is_a_row_with_the_reason(
    bucket: Callable[[str, bytes], str], write: Write
) -> None:
    bucket("b.jpg", b"another")
    result = write("memory://bucket/a.jpg")
    assert result.action is Action.FAILED and "no such" in result.reason


def test_row_that_makes_no_sense_is_a_row_with_the_reason(folder: Path, write: Write) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    result = write(photo, landmark="Nowhere at all")
    assert result.action is Action.FAILED and "latitude" in result.reason


def test_concurrent_edit_is_noticed(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    real = os.fsync

    def edit_meanwhile(descriptor: int) -> None:
        photo.write_bytes(b"edited by another program")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", edit_meanwhile)
    result = write(photo)
    monkeypatch.undo()
    assert result.action is Action.FAILED and "meanwhile" in result.reason
    assert photo.read_bytes() == b"edited by another program"
    assert os.listdir(folder) == ["a.jpg"]


def revert_last(catalog: Catalog) -> list[WriteResult]:
    journal = Journal(catalog.connection)
    return list(revert_run(journal, journal.runs()[-1].id))


def test_revert_restores_bytes_and_time_and_removes_new_sidecars(
    folder: Path, write: Write, catalog: Catalog
) -> None:
    photo = add(folder, os.fsdecode(b"caf\xe9.jpg"), made("everything.jpg"))
    os.utime(photo, ns=(10**18, 10**18 + 1))
    for settings in ({}, {"sidecar": True}):
        write(photo, **settings)
        (result,) = revert_last(catalog)
        assert result.action is Action.REVERTED
        assert photo.read_bytes() == made("everything.jpg")
        assert photo.stat().st_mtime_ns == 10**18 + 1
        assert len(os.listdir(folder)) == 1


def test_file_changed_since_is_reported_and_left_alone(
    folder: Path, write: Write, catalog: Catalog
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    write(photo)
    photo.write_bytes(photo.read_bytes() + b"more")
    now = photo.read_bytes()
    (result,) = revert_last(catalog)
    assert result.action is Action.FAILED and "changed since" in result.reason
    assert photo.read_bytes() == now


def test_later_runs_are_reverted_first(folder: Path, write: Write, catalog: Catalog) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    write(photo)
    once = photo.read_bytes()
    write(photo, landmark="Taj Mahal")
    journal = Journal(catalog.connection)
    first, second = journal.runs()
    (result,) = revert_run(journal, first.id)
    assert second.id in result.reason
    list(revert_run(journal, second.id))
    assert photo.read_bytes() == once
    list(revert_run(journal, first.id))
    assert photo.read_bytes() == made("plain.jpg")


def test_revert_twice_does_nothing_the_second_time(
    folder: Path, write: Write, catalog: Catalog
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    write(photo)
    assert len(revert_last(catalog)) == 1
    assert revert_last(catalog) == []


def test_damaged_journal_record_changes_nothing(
    folder: Path, write: Write, catalog: Catalog
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    write(photo)
    now = photo.read_bytes()
    with catalog.connection:
        catalog.connection.execute("UPDATE writes SET old_blocks = x'00'")
    (result,) = revert_last(catalog)
    assert result.action is Action.FAILED and "damaged" in result.reason
    assert photo.read_bytes() == now


def test_sidecar_shared_with_a_raw_file_does_not_keep_tags_out_of_the_jpeg(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    add(folder, "a.CR2", b"the raw file")
    sidecar = add(folder, "a.xmp", xmp_packet())
    for position in (False, True):
        result = write(photo, position=position)
        assert (result.action, result.files) == (Action.WRITTEN, (str(photo),))
    assert sidecar.read_bytes() == xmp_packet()


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_no_model_overrules_the_user(folder: Path, write: Write, name: str) -> None:
    data = made("plain.jpg") if name == "a.jpg" else save(picture(), "PNG")
    photo = add(folder, name, data)
    write(photo, landmark="Taj Mahal")
    result = write(photo)
    assert result.action is Action.LEFT_ALONE and "you named" in result.reason
    assert write(photo, landmark="Stonehenge").action is Action.WRITTEN


@pytest.mark.parametrize("sidecar", [False, True])
def test_catalog_knows_the_photos_that_were_written(
    folder: Path, write: Write, catalog: Catalog, sidecar: bool
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))

    def listed() -> Photo:
        (found,) = LocalSource(str(folder), Filters()).photos()
        return found

    seen = Prediction((Score("eiffel_tower", 0.93),), 0.99)
    catalog.record([Reading(listed(), Metadata(), seen)], "the model's hash")
    write(photo, sidecar=sidecar)
    catalog.note_listed([listed()])
    assert catalog.find_pending(Criteria("the model's hash")) == 0
    (reading,) = catalog.readings()
    assert reading.prediction == seen


@pytest.mark.parametrize("path", ["/p/a\0b.jpg", "/p/\ud800.jpg", "", "/", "file:///p/%00.jpg"])
def test_path_that_no_file_can_have_is_a_row_with_the_reason(path: str) -> None:
    row = tagged("/p/a.jpg")._replace(path=path)
    (result,) = write_back([row], None, WriteOptions(dry_run=True), "r")
    assert result.action is Action.FAILED and result.reason
    assert format_path(result.path)


def test_path_from_the_folder_one_is_in(
    folder: Path, write: Write, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    monkeypatch.chdir(folder)
    assert write("a.jpg").files == (str(photo),)
    monkeypatch.chdir("/")
    assert revert_last(catalog)[0].action is Action.REVERTED


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_landmark_without_a_position_is_a_name_alone(folder: Path, write: Write, name: str) -> None:
    photo = add(folder, name, made("plain.jpg") if name == "a.jpg" else save(picture(), "PNG"))
    top = (TopCategory(999, "own_house", "Our house", 0.93),)
    result = write(photo, landmark="Our house", category_id=999, top_k=top, position=True)
    fields = {change.field for change in result.changes}
    assert "XMP dc:subject" in fields and not [field for field in fields if "GPS" in field]
