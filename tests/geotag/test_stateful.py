"""Any sequence of edits, scans, writes and reverts, with faults of the disk in between, against a
simple model: one row for each photo, and after a revert the very bytes that were put there."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import geotag
from geotag.errors import GeotagError
from geotag.records import Outcome, Status
from geotag.tables import read_table, write_table
from geotag.writing.chosen import list_runs
from geotag.writing.result import Action
from tests.conftest import COLOURS, jpeg_bytes, picture
from tests.geotag.writing.samples import save, xmp_packet

POSITION = "exif:GPSLatitude='48,51.5N' exif:GPSLongitude='2,17.6E'"


class Fault(NamedTuple):
    """The n-th call of a function of `os` fails."""

    function: str
    number: int
    code: int


FAULTS = st.none() | st.builds(
    Fault,
    st.sampled_from(("replace", "fsync")),
    st.integers(1, 6),
    st.sampled_from((errno.ENOSPC, errno.EIO)),
)
COLOUR = st.sampled_from(sorted(COLOURS))
EDITS = st.sampled_from(("add", "touch", "replace", "rename", "delete"))
SUFFIX = st.sampled_from((".jpg", ".jpg", ".png"))


@contextmanager
def failing(fault: Fault | None) -> Iterator[None]:
    """The fault, once, inside of the block."""
    if fault is None:
        yield
        return
    real = getattr(os, fault.function)
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == fault.number:
            raise OSError(fault.code, os.strerror(fault.code))
        return real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, fault.function, call)
        yield


class Library(RuleBasedStateMachine):
    """`files` holds what was put into the folder; nothing but geotag may differ from it, and only
    between a write and its revert."""

    model: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="geotag-test-"))
        self.folder = self.base / "photos"
        self.table = self.base / "tags.csv"
        self.catalog = self.base / "tags.csv.geotag"
        self.files: dict[str, bytes] = {}
        self.edited: set[str] = set()  # since a write: their revert may be refused
        self.clears: set[str] = set()  # in the table, not yet written
        self.cleared: set[str] = set()  # and written
        self.is_stale = False  # the table, since a scan that could not write it
        self.number = 0

    def teardown(self) -> None:
        shutil.rmtree(self.base)

    @initialize(colours=st.lists(COLOUR, min_size=2, max_size=4))
    def begin(self, colours: list[str]) -> None:
        self.folder.mkdir()
        for colour in colours:
            self.add(colour, ".jpg")
        self.scan(None, prune=False, rescan=False)

    @property
    def photos(self) -> list[str]:
        return sorted(name for name in self.files if not name.endswith(".xmp"))

    def put(self, name: str, data: bytes) -> None:
        if (self.folder / name).exists():
            self.edited.add(name)
        (self.folder / name).write_bytes(data)
        self.files[name] = data
        self.forget(name)

    def take(self, name: str) -> None:
        (self.folder / name).unlink()
        del self.files[name]
        self.edited.add(name)
        self.forget(name)

    def forget(self, name: str) -> None:
        self.clears.discard(name)
        self.cleared.discard(name)

    def image(self, colour: str, suffix: str) -> bytes:
        self.number += 1
        drawn = picture(colour, (64, 48), self.number)
        return jpeg_bytes(drawn) if suffix == ".jpg" else save(drawn, "PNG")

    def chosen(self, data: st.DataObject, names: list[str]) -> str:
        return data.draw(st.sampled_from(names))

    @rule(kind=EDITS, colour=COLOUR, suffix=SUFFIX, data=st.data())
    def edit(self, kind: str, colour: str, suffix: str, data: st.DataObject) -> None:
        """Photos as people change them: one at least stays."""
        if kind == "add" or (kind == "delete" and len(self.photos) == 1):
            self.add(colour, suffix)
            return
        name = self.chosen(data, self.photos)
        if kind == "replace":
            self.put(name, self.image(colour, Path(name).suffix))
        elif kind == "touch":
            os.utime(self.folder / name)
        elif kind == "delete":
            self.take(name)
        else:  # rename: as written, if it was, for nobody knows how it was before
            now = (self.folder / name).read_bytes()
            self.take(name)
            self.number += 1
            self.put(f"{self.number:03d}{Path(name).suffix}", now)

    def add(self, colour: str, suffix: str) -> None:
        image = self.image(colour, suffix)
        self.put(f"{self.number:03d}{suffix}", image)

    @rule(kind=st.sampled_from(("sound", "position", "damaged", "none")), data=st.data())
    def edit_sidecar(self, kind: str, data: st.DataObject) -> None:
        name = self.chosen(data, self.photos)
        self.forget(name)
        packet = xmp_packet(attributes=POSITION if kind == "position" else "")
        if kind != "none":
            self.put(f"{name}.xmp", packet[: len(packet) // 2] if kind == "damaged" else packet)
        elif f"{name}.xmp" in self.files:
            self.take(f"{name}.xmp")

    @rule(fault=FAULTS, prune=st.booleans(), rescan=st.booleans())
    def scan(self, fault: Fault | None, prune: bool, rescan: bool) -> None:
        before = self.table.read_bytes() if self.table.exists() else None
        try:
            with failing(fault):
                self.scanned(prune=prune, rescan=rescan)
        except GeotagError:
            assert fault is not None
            now = self.table.read_bytes() if self.table.exists() else None
            if now == before:
                self.is_stale = True
                return
        self.is_stale = False
        self.clears.clear()
        rows = self.rows()
        assert sorted(rows) == self.photos
        for name, row in rows.items():
            assert row.status is not Status.UNREADABLE, row
            assert name not in self.cleared or not row.landmark, row

    def scanned(self, **options: bool) -> None:
        rows = geotag.scan_rows(
            self.folder, out=self.table, model=self.model, engine="pytorch", workers=1,
            allow_empty=True, **options,
        )  # fmt: skip
        assert len(list(rows)) == len(self.photos)

    def rows(self) -> dict[str, Outcome]:
        listed = [(os.path.basename(row.path), row) for row in read_table(self.table)]
        assert len(dict(listed)) == len(listed)
        return dict(listed)

    @rule(data=st.data())
    def clear_landmark(self, data: st.DataObject) -> None:
        rows = self.rows()
        tagged = sorted(name for name, row in rows.items() if row.landmark and name in self.files)
        if tagged:
            name = self.chosen(data, tagged)
            rows[name] = rows[name]._replace(landmark="")
            write_table(str(self.table), rows.values())
            self.clears.add(name)

    @rule(fault=FAULTS, gps=st.booleans())
    def write(self, fault: Fault | None, gps: bool) -> None:
        try:
            with failing(fault):
                results = geotag.write(self.table, gps=gps)
        except GeotagError:
            assert fault is not None
            self.clears.clear()
            return
        failed = {os.path.basename(r.path) for r in results if r.action is Action.FAILED}
        gone = self.rows().keys() - self.files.keys()
        sidecars = {name.removesuffix(".xmp") for name in self.files if name.endswith(".xmp")}
        if not self.is_stale:  # else what the scan found may contradict the rows
            assert len(failed - gone - sidecars) <= (fault is not None), results
        self.cleared |= self.clears - failed
        self.clears.clear()

    @rule(fault=FAULTS)
    def revert(self, fault: Fault | None) -> None:
        if fault is not None:
            with failing(fault), suppress(GeotagError):
                self.revert_all()
        refused = {os.path.basename(r.path) for r in self.revert_all() if r.action is Action.FAILED}
        assert refused <= self.edited, refused
        self.cleared.clear()
        assert self.on_disk() == self.files

    def revert_all(self) -> list[geotag.WriteResult]:
        runs, _ = list_runs(self.catalog)
        return [r for _, run in reversed(runs) for r in geotag.revert(run.id, catalog=self.catalog)]

    def on_disk(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    @invariant()
    def nothing_is_lost(self) -> None:
        """Each file is there; of a photo that differs, only the metadata does."""
        if not self.folder.exists():
            return
        now = self.on_disk()
        assert self.files.keys() <= now.keys()
        assert not [name for name in now if name.startswith(".geotag-")]
        for name in self.photos:
            if now[name] != self.files[name]:
                assert name.endswith(".jpg")
                start = b"\xff\xdb"
                assert now[name].partition(start)[2] == self.files[name].partition(start)[2]


@pytest.fixture
def library(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Library]:
    """With the user's state in a folder of the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return type("LibraryWithModel", (Library,), {"model": model_path})


@pytest.mark.slow
def test_any_sequence_loses_nothing(library: type[Library]) -> None:
    run_state_machine_as_test(
        library,
        settings=settings(
            max_examples=int(os.environ.get("GEOTAG_EXAMPLES", "25")), stateful_step_count=20,
            deadline=None, suppress_health_check=list(HealthCheck), print_blob=True,
        ),
    )  # fmt: skip
