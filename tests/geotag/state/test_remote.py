"""Catalogs in buckets: for one run at a time, and never over another run's."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from threading import Thread

import pytest

from geotag.errors import LockedError
from geotag.records import Photo
from geotag.state.catalog import Criteria, open_catalog
from tests.geotag.state.samples import note_listed


def test_a_catalog_in_the_bucket_is_for_one_run_at_a_time(bucket: Path) -> None:
    place = "s3://photos/c.geotag"
    with open_catalog(place) as catalog:
        note_listed(catalog, [])
        with pytest.raises(LockedError):
            open_catalog(place)
    with open_catalog(place):
        pass
    # A holder that died elsewhere: its lease ends by itself.
    lock = bucket / "c.geotag.lock"
    with open_catalog(place):
        fields = json.loads(lock.read_text())
    lock.write_text(json.dumps(fields))
    with pytest.raises(LockedError):
        open_catalog(place)
    # By the clock of the store: that of its holder may be wrong.
    lock.write_text(json.dumps(fields | {"until": 1.0}))
    with pytest.raises(LockedError):
        open_catalog(place)
    lock.write_text(json.dumps(fields | {"until": 1e12}))
    os.utime(lock, (1, 1))
    with open_catalog(place):
        pass
    # One that died on this machine: it is free at once.
    dead = subprocess.Popen(["true"])
    dead.wait()
    lock.write_text(json.dumps(fields | {"process": dead.pid}))
    with open_catalog(place):
        pass
    # One of another container, where that number may be of a process that lives.
    for system in ("another boot pid:[1]", "", None):
        lock.write_text(json.dumps(fields | {"process": dead.pid, "system": system}))
        with pytest.raises(LockedError):
            open_catalog(place)
    lock.unlink()


def test_a_lease_ends_by_the_clock_of_the_bucket_alone(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, lock, now = "s3://photos/c.geotag", bucket / "c.geotag.lock", time.time()
    with open_catalog(place):
        lease = json.loads(lock.read_text()) | {"system": "another boot pid:[1]"}
        monkeypatch.setattr(time, "time", lambda: now + 900)
        with pytest.raises(LockedError):
            open_catalog(place)
    monkeypatch.setattr(time, "time", lambda: now - 900)
    lock.write_text(json.dumps(lease))
    os.utime(lock, (now - 400, now - 400))
    with open_catalog(place):
        assert {entry.name for entry in bucket.iterdir()} == {lock.name}


def test_a_lease_that_somebody_cleared_away_is_renewed(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geotag.state.remote.RENEWALS", 3000)
    place, lock = "s3://photos/c.geotag", bucket / "c.geotag.lock"
    with open_catalog(place) as catalog:
        lock.unlink()
        for _ in range(600):
            if lock.exists() and lock.stat().st_size:
                break
            time.sleep(0.05)
        with pytest.raises(LockedError):
            open_catalog(place)
        catalog.record([], None)
    assert [entry.name for entry in bucket.iterdir()] == ["c.geotag"]


def test_where_no_thread_can_be_started_no_lease_is_left(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with open_catalog("s3://photos/c.geotag"):  # the store's own threads
        pass
    monkeypatch.setattr("geotag.state.remote.Thread.start", start)
    with pytest.raises(RuntimeError):
        open_catalog("s3://photos/c.geotag")
    assert not list(bucket.glob("*.lock"))


def test_a_catalog_that_another_run_wrote_is_not_overwritten(bucket: Path) -> None:
    place = "s3://photos/c.geotag"
    with pytest.raises(LockedError), open_catalog(place) as catalog:
        note_listed(catalog, [Photo("/a.jpg", 1, "1")])
        catalog.record([], None)
        (bucket / "c.geotag").write_bytes(b"another run's")
    assert (bucket / "c.geotag").read_bytes() == b"another run's"


def test_a_damaged_catalog_in_the_bucket_is_set_aside_there(bucket: Path) -> None:
    (bucket / "c.geotag").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with open_catalog("s3://photos/c.geotag") as catalog:
        assert catalog.find_pending(Criteria("")) == 0
        catalog.record([], None)
    assert (bucket / "c.geotag").read_bytes()[:15] == b"SQLite format 3"
    (aside,) = bucket.glob("c.geotag.damaged-*")
    assert aside.read_bytes().endswith(b"\xff" * 100)
