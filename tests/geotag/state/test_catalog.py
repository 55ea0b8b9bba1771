"""The catalog: what counts as known, and what is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from geotag.errors import DamagedCatalogError
from geotag.records import (
    Failure,
    FailureKind,
    Likeliest,
    Metadata,
    Prediction,
    Reading,
    Score,
)
from geotag.state.catalog import Criteria, open_catalog
from geotag.state.retries import back_off
from geotag.state.rows import format_row, parse_row
from tests.geotag.state.samples import (
    MEASURED,
    MODEL,
    TOWER,
    classified,
    failed,
    later,
    note_listed,
    pending,
    photo,
)


@pytest.mark.parametrize(
    "reading",
    [
        classified("a.jpg"),
        Reading(photo("a.jpg"), MEASURED),
        Reading(photo("a.jpg"), MEASURED, TOWER, None, "key"),
        failed("a.jpg", FailureKind.PERMANENT),
        Reading(photo("n\udcff\u2028.jpg", 2**40), Metadata(camera="É\0")),
    ],
)
def test_rows_come_back_as_they_were(path: Path, reading: Reading) -> None:
    with open_catalog(path) as catalog:
        note_listed(catalog, [reading.photo])
        catalog.record([reading], MODEL)
        assert list(catalog.readings()) == [reading]
    row = format_row(reading, MODEL)
    for at in range(len(row)):
        changed = (*row[:at], "other", *row[at + 1 :])
        with pytest.raises(DamagedCatalogError):
            parse_row(changed)


def test_new_and_changed_photos_are_pending_the_new_ones_first(path: Path) -> None:
    with open_catalog(path) as catalog:
        assert pending(catalog) == []
        catalog.record([classified("same"), classified("size"), classified("version")], MODEL)
    with open_catalog(path) as catalog:
        listed = [photo("z"), photo("y"), photo("same"), photo("size", 11)]
        listed += [photo("version", version="2")]
        assert note_listed(catalog, listed) == 5
        assert pending(catalog) == ["y", "z", "size", "version"]


def test_another_model_looks_again_at_what_it_would_classify(path: Path) -> None:
    with open_catalog(path) as catalog:
        measured, broken = Reading(photo("gps"), MEASURED), failed("bad", FailureKind.PERMANENT)
        catalog.record([measured, broken, classified("tower")], MODEL)
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("gps"), photo("bad"), photo("tower")])
        assert pending(catalog) == []
        assert pending(catalog, Criteria("b" * 64)) == ["tower"]
        assert pending(catalog, Criteria(MODEL, classify_all=True)) == ["gps"]


def test_rescan_reads_all_again_but_each_only_once(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("a"), classified("b")], MODEL)
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("a"), photo("b")])
        assert pending(catalog) == []
        assert pending(catalog, Criteria(MODEL, rescan=True)) == ["a", "b"]
        catalog.record([classified("a")], MODEL)
        assert [found.uri for found in catalog.pending()] == ["/photos/b"]


def test_the_back_off_doubles_up_to_less_than_a_day() -> None:
    waits = [back_off(attempts) for attempts in range(1, 40)]
    assert waits[:5] == [0, 60, 120, 240, 480]
    assert waits == sorted(waits)
    assert waits[-1] == 20 * 3600


def test_a_passing_failure_is_tried_again_and_a_lasting_one_is_not(path: Path) -> None:
    listed = [photo("busy"), photo("bad")]
    seconds = 0.0
    for attempts in range(1, 4):
        with later(path, seconds) as catalog:
            note_listed(catalog, listed)
            assert "busy" in pending(catalog)
            readings = [failed("busy", FailureKind.TRANSIENT)]
            if attempts == 1:
                readings.append(failed("bad", FailureKind.PERMANENT))
            catalog.record(readings, MODEL)
            kinds = {r.failure.kind for r in catalog.readings() if r.failure is not None}
            assert kinds == {FailureKind.PERMANENT, FailureKind.TRANSIENT}
        if attempts > 1:
            with later(path, seconds + back_off(attempts) - 10) as catalog:
                note_listed(catalog, listed)
                assert pending(catalog) == []
                assert catalog.count_waiting() == 1
        seconds += back_off(attempts) + 10
    with later(path, seconds) as catalog:
        note_listed(catalog, [photo("busy", version="2"), photo("bad", version="2")])
        assert pending(catalog) == ["bad", "busy"]


def test_a_clock_that_was_ahead_delays_no_retry(path: Path) -> None:
    for _ in range(3):
        with later(path, 365 * 86400) as catalog:
            note_listed(catalog, [photo("busy")])
            catalog.record([failed("busy", FailureKind.TRANSIENT)], MODEL)
    with later(path, 0) as catalog:
        note_listed(catalog, [photo("busy")])
        assert pending(catalog) == ["busy"]


def test_content_is_known_under_another_name(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("old")], MODEL)
        seen = classified("grey", "another key")._replace(
            prediction=Prediction((Score("eiffel_tower", 0.1),), 0.2), prefilter=0.5
        )
        catalog.record([seen], MODEL)
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("new"), photo("longer", 11), photo("old")])
        catalog.find_pending(Criteria(MODEL))
        (moved,) = catalog.perhaps_moved(2)
        assert moved == photo("new")
        assert catalog.reading_of(moved, "key", Criteria(MODEL)) == classified("old")
        assert catalog.reading_of(moved, "unknown", Criteria(MODEL)) is None
        assert catalog.reading_of(moved, "key", Criteria("b" * 64)) is None
        assert catalog.reading_of(moved, "another key", Criteria(MODEL, prefilter=0.3)) == seen
        assert catalog.reading_of(moved, "another key", Criteria(MODEL, prefilter=0.2)) is None


def test_what_tells_photos_of_one_scene_goes_with_their_predictions(path: Path) -> None:
    seen = TOWER._replace(fingerprint=bytes(range(32)))
    taken = Metadata(None, "2023-05-12T10:03:59.5+02:00", camera="Acme")
    slug, confidence = TOWER.top[0]
    with open_catalog(path) as catalog:
        known = [Reading(photo("a"), taken, seen, None, "key"), classified("b")]
        catalog.record(known, MODEL)
        moved = catalog.reading_of(photo("c"), "key", Criteria(MODEL))
        assert moved is not None and moved.prediction == seen
        catalog.record([moved._replace(photo=photo("c"), metadata=Metadata())], MODEL)
        assert list(catalog.best(MODEL, 0.1)) == [
            Likeliest(slug, confidence, "Acme 2023-05-12T10:03", bytes(range(32))),
            Likeliest(slug, confidence),
            Likeliest(slug, confidence, "", bytes(range(32))),
        ]
        catalog.connection.execute("UPDATE photos SET fingerprint = 'short'")
        assert {one.fingerprint for one in catalog.best(MODEL, 0.1)} == {b""}


def test_prune_forgets_what_is_not_listed_and_gone(path: Path) -> None:
    with open_catalog(path) as catalog:
        names = ["a/1", "a/2", "b/1"]
        catalog.record([classified(name) for name in names], MODEL)
        catalog.record([failed("a/3", FailureKind.TRANSIENT)], MODEL)
        note_listed(catalog, [photo("a/1")])
        assert catalog.prune(lambda uri: uri.startswith("/photos/a/")) == 2
        note_listed(catalog, [photo(name) for name in [*names, "a/3"]])
        kept = [reading.photo.uri for reading in catalog.readings()]
        assert kept == ["/photos/a/1", "/photos/b/1"]
        assert pending(catalog) == ["a/2", "a/3"]


def test_the_same_listing_has_the_same_fingerprint(path: Path) -> None:
    prints = []
    for listed in ([photo("a"), photo("b")], [photo("a"), photo("b")], [photo("a")],
                   [photo("a", version="2"), photo("b")]):  # fmt: skip
        with open_catalog(path) as catalog:
            note_listed(catalog, listed)
            prints.append(catalog.fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_what_cannot_be_read_now_replaces_nothing_that_is_known(path: Path) -> None:
    measured = Reading(photo("gps"), MEASURED)
    known = [measured, classified("tower"), failed("bad", FailureKind.PERMANENT)]
    with later(path, 0) as catalog:
        catalog.record(known, MODEL)
    with later(path, 60) as catalog:
        names = ["gps", "tower", "bad"]
        note_listed(catalog, [photo(name, version="2") for name in names])
        catalog.record(
            [failed(name, FailureKind.TRANSIENT)._replace(photo=photo(name, version="2"))
             for name in names], MODEL,
        )  # fmt: skip
        failure = Failure(FailureKind.TRANSIENT, "why")
        assert list(catalog.readings()) == [
            Reading(photo("bad", version="2"), Metadata(), failure=failure),
            measured._replace(failure=failure, is_outdated=True),
            classified("tower")._replace(failure=failure, is_outdated=True),
        ]
    with later(path, 70) as catalog:
        note_listed(catalog, [photo(name) for name in names])
        assert pending(catalog) == ["bad", "gps", "tower"]
        again = [measured, classified("tower"), Reading(photo("bad"), MEASURED)]
        catalog.record(again, MODEL)
        assert sorted(catalog.readings()) == sorted(again)
