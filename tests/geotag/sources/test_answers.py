"""Answers of a bucket that are whole, and not what was asked for: none is taken for the object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from geotag.errors import CatalogError, GeotagError, SourceError, TableError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.records import Outcome, Status
from geotag.state.catalog import open_catalog
from geotag.stores import store_of
from geotag.stores.base import StoreError
from geotag.tables import read_table
from tests.conftest import gps_ifd, jpeg_bytes, picture
from tests.geotag.conftest import FaultyProxy

SIDECAR = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,30.0N" '
    b'exif:GPSLongitude="2,15.0E"/></rdf:RDF></x:xmpmeta>'
)
FAULTS = ("page", "short", "empty", "elsewhere", "no version")


@pytest.fixture
def rows(
    faults: FaultyProxy, bucket: Path, tmp_path: Path, model_path: Path
) -> Callable[..., dict[str, Outcome]]:
    """Scans the bucket; the rows by key."""
    (bucket / "tower.jpg").write_bytes(jpeg_bytes(picture("eiffel_tower", (900, 700))))
    (bucket / "side.jpg").write_bytes(jpeg_bytes(picture("taj_mahal", seed=1)))
    (bucket / "side.xmp").write_bytes(SIDECAR)
    (bucket / "gps.jpg").write_bytes(jpeg_bytes(picture(), gps=gps_ifd(10, 20)))

    def scan(table: str = "t.csv", **settings: object) -> dict[str, Outcome]:
        options = ScanOptions(model=model_path)._replace(**settings)
        scan_library(["s3://photos"], str(tmp_path / table), options)
        found = read_table(tmp_path / table)
        return {row.path.removeprefix("s3://photos/"): row for row in found}

    return scan


def of(name: str, fault: str) -> Callable[[str, str], str | None]:
    """Spoils what is fetched of one object."""
    return lambda method, path: fault if method == "GET" and f"/{name}" in path else None


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["tower.jpg", "side.xmp"])
def test_no_answer_to_another_question_is_a_reading(
    faults: FaultyProxy, rows: Callable[..., dict[str, Outcome]], name: str, fault: str
) -> None:
    """A photo has its row when the server is well again, and what was known stays till then."""
    if (name, fault) == ("side.xmp", "no version"):
        pytest.skip("a sidecar is read as it is")
    clean = rows("clean.csv")
    photo = name.replace("xmp", "jpg")
    faults.fault = of(name, fault)
    spoilt = rows()
    assert spoilt.keys() == clean.keys()
    assert spoilt[photo].status is Status.UNREADABLE
    assert (spoilt[photo].landmark, spoilt[photo].latitude) == ("", None)
    faults.fault = lambda method, path: None
    assert rows() == clean
    faults.fault = of(name, fault)
    known = rows(rescan=True)
    assert known.pop(photo)._replace(error="") == clean.pop(photo)
    assert known == clean


@pytest.mark.slow
def test_a_server_that_sends_a_byte_now_and_then_holds_nothing_up(
    faults: FaultyProxy,
    rows: Callable[..., dict[str, Outcome]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geotag.stores.base.ATTEMPTS", 2)
    clean = rows("clean.csv")
    faults.fault = of("tower.jpg", "trickle")
    spoilt = rows()
    assert spoilt.pop("tower.jpg").error == "the bucket did not answer in time"
    assert spoilt == {name: row for name, row in clean.items() if name != "tower.jpg"}


def test_a_login_page_is_no_empty_bucket(
    faults: FaultyProxy, rows: Callable[..., dict[str, Outcome]], tmp_path: Path
) -> None:
    faults.fault = lambda method, path: "page"
    with pytest.raises(SourceError, match=r"s3://photos: .+ must somebody log in"):
        rows()
    assert not (tmp_path / "t.csv").exists()


def test_nothing_is_written_where_a_login_page_answers(
    faults: FaultyProxy, tmp_path: Path, model_path: Path
) -> None:
    photo = tmp_path / "photos" / "gps.jpg"
    photo.parent.mkdir()
    photo.write_bytes(jpeg_bytes(picture(), gps=gps_ifd(10, 20)))
    options = ScanOptions(model=model_path, catalog=tmp_path / "c.geotag")
    faults.fault = lambda method, path: "page" if method == "PUT" else None
    with pytest.raises(TableError, match="must somebody log in"):
        scan_library([str(photo.parent)], "s3://photos/t.csv", options)


@pytest.mark.parametrize("fault", [503, 403, "page", "short", "reset", "elsewhere"])
def test_a_lease_that_cannot_be_read_now_is_not_free(
    faults: FaultyProxy, bucket: Path, fault: int | str
) -> None:
    with open_catalog("s3://photos/c.geotag") as catalog:
        catalog.begin_scan(0)
        catalog.changed = True
        held = (bucket / "c.geotag.lock").read_bytes()
        faults.fault = lambda method, path: (
            fault if method == "GET" and path.startswith("/photos/c.geotag.lock") else None
        )
        with pytest.raises(CatalogError):
            open_catalog("s3://photos/c.geotag")
        assert (bucket / "c.geotag.lock").read_bytes() == held
    assert not (bucket / "c.geotag.lock").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_catalog_is_fetched_whole_or_not_at_all(
    faults: FaultyProxy, bucket: Path, fault: str
) -> None:
    with open_catalog("s3://photos/c.geotag") as catalog:
        catalog.changed = True
    before = (bucket / "c.geotag").read_bytes()
    faults.fault = lambda method, path: (
        fault if method == "GET" and path.split("?")[0] == "/photos/c.geotag" else None
    )
    with pytest.raises(GeotagError):
        open_catalog("s3://photos/c.geotag")
    assert [file.name for file in bucket.iterdir()] == ["c.geotag"]
    assert (bucket / "c.geotag").read_bytes() == before


def test_an_object_is_there_only_where_the_bucket_says_so(faults: FaultyProxy) -> None:
    faults.fault = lambda method, path: "page"
    with pytest.raises(StoreError, match="must somebody log in"):
        store_of("s3://photos").stat("s3://photos/none.jpg")
