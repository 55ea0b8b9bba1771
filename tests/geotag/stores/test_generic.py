"""Listings of stores that fsspec knows: in order, several folders at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from threading import Barrier, Event, Lock
from typing import Any, ClassVar

import pytest

from geotag.stores.base import StoreError
from geotag.stores.generic import GenericStore

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402


class FarAway(MemoryFileSystem):  # type: ignore[misc]
    """Says which folders are listed; `waits` may hold an answer back."""

    protocol = "far"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    listed: ClassVar[list[str]] = []
    waits: ClassVar[Callable[[str], object]] = len

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("far://", "memory://")))

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        FarAway.waits(path)
        with _lock:
            FarAway.listed.append(path)
        return super().ls(path, detail)


_lock = Lock()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> GenericStore:
    """A bucket of forty folders, which hold two folders of two objects each, and an object."""
    monkeypatch.setattr(FarAway, "store", {})
    monkeypatch.setattr(FarAway, "pseudo_dirs", [""])
    monkeypatch.setattr(FarAway, "listed", [])
    monkeypatch.setattr(FarAway, "waits", len)
    fsspec.register_implementation("far", FarAway, clobber=True)
    files = FarAway()
    for folder in range(40):
        for name in ("a/1", "a/2", "b/1", "b/2"):
            files.pipe(f"/bucket/{folder:02d}/{name}.jpg", b"x")
    files.pipe("/bucket/07.jpg", b"x")
    return GenericStore("far")


def test_all_are_listed_in_byte_order(store: GenericStore) -> None:
    found = [each.uri for each in store.list("far://bucket")]
    assert len(found) == 161 and found == sorted(found)
    assert sorted(FarAway.listed) == sorted({*FarAway.listed})
    assert [each.uri for each in store.list("far://bucket/07.jpg")] == ["far://bucket/07.jpg"]


def test_several_folders_are_listed_at_once(
    store: GenericStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, have_met = Barrier(16, timeout=20), Event()

    def meet(path: str) -> None:
        if path != "/bucket" and not have_met.is_set():
            together.wait()
            have_met.set()

    monkeypatch.setattr(FarAway, "waits", meet)
    assert len(list(islice(store.list("far://bucket"), 5))) == 5


def test_what_is_not_entered_or_not_reached_is_not_listed(store: GenericStore) -> None:
    found = list(store.list("far://bucket", lambda folder: folder == "far://bucket/05"))
    assert [each.uri for each in found] == ["far://bucket/07.jpg"]
    assert FarAway.listed == ["/bucket", "/bucket/05"]
    FarAway.listed.clear()
    listing = store.list("far://bucket")
    next(listing)
    listing.close()
    assert len(FarAway.listed) < 40


def test_a_folder_that_cannot_be_listed_ends_it(
    store: GenericStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        if path == "/bucket/30":
            raise PermissionError

    monkeypatch.setattr(FarAway, "waits", refuse)
    with pytest.raises(StoreError, match="no permission"):
        list(store.list("far://bucket"))
