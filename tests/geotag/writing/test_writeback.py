"""Rows into photos and sidecars, and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geotag.errors import CatalogError
from geotag.files.paths import format_path
from geotag.records import (
    Metadata,
    Outcome,
    Photo,
    Prediction,
    Reading,
    Score,
    TopCategory,
)
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from geotag.state.catalog import Catalog, Criteria
from geotag.state.journal import Journal
from geotag.writing.result import Action
from geotag.writing.revert import revert_run
from geotag.writing.writeback import WriteOptions, write_back, write_run
from tests.geotag.state.samples import note_listed
from tests.geotag.writing.kinds import made
from tests.geotag.writing.rows import Write, add, revert_last, sidecar_of, tagged
from tests.geotag.writing.samples import (
    picture,
    save,
)


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


def test_a_read_only_photo_of_which_nothing_changes_is_no_failure(
    folder: Path, write: Write
) -> None:
    photo = add(folder, "a.jpg", made("plain.jpg"))
    assert write(photo).action is Action.WRITTEN
    photo.chmod(0o444)
    photo.with_name("b.jpg").hardlink_to(photo)
    assert write(photo).action is Action.UNCHANGED


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
    note_listed(catalog, [listed()])
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
