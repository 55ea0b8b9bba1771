"""Which files a row's tags go into: the photo, a sidecar, or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from geotag.metadata.exif import parse_metadata
from geotag.writing.blocks.xmp import parse_packet
from geotag.writing.result import Action
from tests.geotag.writing.kinds import made
from tests.geotag.writing.rows import Write, add, sidecar_of
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


@pytest.mark.parametrize("name", ["a.png.xmp", "a.png.XMP", "a.PNG.XMP", "a.xmp", "a.XMP"])
def test_sidecar_that_exists_is_edited(folder: Path, write: Write, name: str) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    sidecar = add(folder, name, xmp_packet(SUBJECTS))
    write(photo)
    assert sorted(os.listdir(folder)) == sorted(["a.png", name])
    packet = parse_packet(sidecar.read_bytes())
    assert packet.items("dc:subject") == ("holiday", "été", "Eiffel Tower")
    assert b"kept &amp; sound" in sidecar.read_bytes()


def test_sidecar_of_another_photo_whose_name_differs_by_case_is_left_alone(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "a.png", save(picture(), "PNG"))
    add(folder, "a.PNG", save(picture(), "PNG"))
    other = add(folder, "a.PNG.xmp", xmp_packet(SUBJECTS))
    write(photo)
    assert other.read_bytes() == xmp_packet(SUBJECTS)
    assert sidecar_of(photo).items("dc:subject") == ("Eiffel Tower",)


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
