"""Photos placed by measured ones of the same picture, or of the same scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import geotag
from geotag.cli import main
from geotag.engines.base import EngineOptions
from geotag.errors import UsageError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.places.scenes import Alike, Gallery, Kept, Witness, find_matches, place_by
from geotag.places.sighting import Method
from geotag.records import Location, Metadata, Outcome, Photo, Reading, Status
from geotag.state.summary import Summary
from geotag.tables import read_table
from geotag.writing.result import Action
from tests.conftest import gps_ifd, jpeg_bytes
from tests.geotag.decoding.test_fingerprint import scene, sent
from tests.geotag.state.test_embeddings import make_recogniser

ENGINE = EngineOptions("pytorch", "cpu")
PARIS, NEARBY, ROME = Location(48.85, 2.35), Location(48.852, 2.35), Location(41.9, 12.5)
MEASURED = {
    "paris": Witness(PARIS, 0.0),
    "paris at once": Witness(PARIS, 60.0),
    "paris later": Witness(NEARBY, 86_400.0),
    "paris undated": Witness(NEARBY, None),
    "rome": Witness(ROME, 9e6),
}


def alike(**cosines: float) -> list[Alike]:
    names = ((name.replace("_", " "), cosine) for name, cosine in cosines.items())
    return [Alike(name, cosine, 120) for name, cosine in names]


def test_two_moments_at_one_place_give_it() -> None:
    found = place_by("x", alike(paris=0.9, paris_later=0.8), MEASURED)
    assert found is not None and found.method is Method.MATCH and found.utc is None
    assert found.location == Location(48.851, 2.35)
    assert found.radius_m == pytest.approx(500 + 3 * 111.2, abs=1)
    assert [each.photo for each in found.neighbours] == ["paris", "paris later"]


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"paris_at_once": 0.89},  # the same burst
        {"paris_undated": 0.89},
        {"paris_later": 0.75},  # not alike enough
        {"paris_later": 0.85, "rome": 0.8},  # which looks nearly as much alike
        {"rome": 0.85},
    ],
)
def test_one_witness_or_a_rival_gives_none(others: dict[str, float]) -> None:
    assert place_by("x", alike(paris=0.9, **others), MEASURED) is None
    assert place_by("x", alike(rome=0.9, paris=0.88, paris_later=0.88), MEASURED) is None


def test_only_what_may_show_a_landmark_is_a_scene() -> None:
    two = alike(paris=0.9, paris_later=0.8)
    assert place_by("x", two, MEASURED, is_scene=False) is None
    face = {**MEASURED, "paris later": MEASURED["paris later"]._replace(is_scene=False)}
    assert place_by("x", two, face) is None
    same = [Alike("paris later", 0.95, 3)]
    assert place_by("x", same, face, is_scene=False) is not None


def test_the_same_picture_is_a_copy() -> None:
    found = place_by("x", [Alike("paris", 0.95, 3), *alike(rome=0.94)], MEASURED)
    assert found is not None and (found.method, found.location) == (Method.COPY, PARIS)
    assert found.by_picture and found.radius_m == 50
    for other in (Alike("paris", 0.8, 3), Alike("paris", 0.95, 21)):
        assert place_by("x", [other], MEASURED) is None
    twice = [Alike("paris", 0.95, 3), Alike("rome", 0.95, 3)]  # somebody wrote a wrong position
    assert place_by("x", twice, MEASURED) is None


def kept(name: str, vector: np.ndarray[tuple[int], np.dtype[np.float64]], code: bytes) -> Kept:
    return name, (np.rint(vector / np.abs(vector).max() * 127)).astype(np.int8).tobytes() + code


def test_the_search_finds_what_comparing_all_would() -> None:
    random = np.random.default_rng(0)
    base = np.abs(random.standard_normal((3000, 640)))
    queries = base[:40] + 0.4 * np.abs(random.standard_normal((40, 640)))
    code = random.bytes(32)
    gallery = Gallery(kept(str(n), row, code) for n, row in enumerate(base))
    found = dict(gallery.search(kept(str(n), row, code) for n, row in enumerate(queries)))
    assert len(found) == 40
    for name, alike_ in found.items():
        assert alike_[0].uri == name and alike_[0].cosine > 0.8 and alike_[0].bits == 0
        assert [a.cosine for a in alike_] == sorted((a.cosine for a in alike_), reverse=True)


def test_a_fingerprint_of_next_to_nothing_tells_nothing() -> None:
    vector = np.ones(64)
    gallery = Gallery([kept("fog", vector, bytes(32))])
    ((_, found),) = gallery.search([kept("wall", vector, bytes(32))])
    assert found[0].bits == 255


def test_nothing_kept_and_odd_lengths_find_nothing() -> None:
    reading = Reading(Photo("a.jpg", 1, "1"), Metadata(PARIS))
    other = reading._replace(photo=Photo("b.jpg", 1, "1"), metadata=Metadata())
    assert find_matches([reading, other], tuple) == {}
    assert find_matches([reading, other], lambda: [("a.jpg", b"1"), ("b.jpg", bytes(40))]) == {}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Two measured photos, what a messenger made of the first, and another picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, latitude in enumerate((48.85, 41.9)):
        located = gps_ifd(latitude, 2.0)
        (folder / f"phone{number}.jpg").write_bytes(jpeg_bytes(scene(number), gps=located))
    sent(scene(0)).save(folder / "IMG-20230601-WA0003.jpg", quality=70)
    (folder / "IMG-20230601-WA0004.jpg").write_bytes(jpeg_bytes(scene(7)))
    return folder


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that gives embeddings."""
    return make_recogniser(tmp_path_factory.mktemp("model") / "model.safetensors", 0)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def scan(library: Path, options: ScanOptions) -> tuple[Summary, dict[str, Outcome]]:
    table = library.parent / "tags.csv"
    summary = scan_library([str(library)], str(table), options)
    return summary, {Path(row.path).name: row for row in read_table(table)}


def test_a_picture_that_a_messenger_sent_is_where_its_original_is(
    library: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ScanOptions(model=model_path, places=True, match=True, engine_options=ENGINE)
    _, rows = scan(library, options)
    copied = rows["IMG-20230601-WA0003.jpg"]
    assert (copied.status, copied.method) == (Status.PLACED, "copy")
    assert (copied.latitude, copied.radius_m) == (48.85, 50.0)
    assert rows["IMG-20230601-WA0004.jpg"].method != "copy"
    with pytest.raises(SystemExit):
        main(["why", "IMG-20230601-WA0003.jpg", "--table", str(library.parent / "tags.csv")])
    assert "a copy of phone0.jpg by what both show" in capsys.readouterr().out
    assert scan(library, options)[0].read == 0
    moved = library / "sent.jpg"
    (library / "IMG-20230601-WA0003.jpg").rename(moved)
    summary, rows = scan(library, options)
    assert (summary.read, rows["sent.jpg"].method) == (0, "copy")
    before = moved.read_bytes()
    results = geotag.write(library.parent / "tags.csv", gps=True)
    actions = {Path(result.path).name: result.action for result in results}
    assert actions["sent.jpg"] is Action.WRITTEN and moved.read_bytes() != before
    geotag.revert(catalog=library.parent / "tags.csv.geotag")
    assert moved.read_bytes() == before
    summary, rows = scan(library, options._replace(match=False))
    assert rows["sent.jpg"].method != "copy"


def test_what_was_classified_before_is_looked_at_once_more(library: Path, model_path: Path) -> None:
    options = ScanOptions(model=model_path, places=True, engine_options=ENGINE)
    assert scan(library, options)[0].read == 4
    summary, rows = scan(library, options._replace(match=True))
    assert (summary.read, rows["IMG-20230601-WA0003.jpg"].method) == (4, "copy")
    (library.parent / "tags.csv.geotag.kept").write_bytes(b"damaged")
    assert scan(library, options._replace(match=True))[0].read == 4


def test_it_needs_places_and_a_catalog_on_this_machine(library: Path, model_path: Path) -> None:
    options = ScanOptions(model=model_path, match=True)
    with pytest.raises(UsageError, match="--places"):
        scan(library, options)
    with pytest.raises(UsageError, match="catalog"):
        scan_library([str(library)], "-", options._replace(places=True))
