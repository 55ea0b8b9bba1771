"""The review without a browser: whom it answers, what it asks about, and what becomes of it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geotag.categories import OWN_ID
from geotag.cli import cli
from geotag.errors import LockedError
from geotag.records import Outcome, Status, TopCategory
from geotag.review.app import KEY_HEADER, Access, create_review_app
from geotag.review.queue import Doubt, Timeline, build_queue
from geotag.review.search import Places
from geotag.review.session import Review
from geotag.state.catalog import open_catalog
from geotag.state.decisions import Decision, Decisions, Verdict, decisions_in
from geotag.tables import write_table
from tests.conftest import WritePhoto

flask = pytest.importorskip("flask")
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
TOP = (
    TopCategory(7, "eiffel_tower", "Eiffel Tower", 0.7),
    TopCategory(9, "taj_mahal", "Taj Mahal", 0.2),
)


def _rows(folder: Path) -> list[Outcome]:
    def row(name: str, status: Status, minute: int, **more: Any) -> Outcome:
        path, taken = str(folder / name), f"2023-05-01T10:{minute:02}:00"
        return Outcome(path, status, taken_at=taken, camera="Canon", **more)

    return [
        row("gps.jpg", Status.HAS_GPS, 0, latitude=48.85, longitude=2.3,
            position_source="measured"),
        row(HOSTILE, Status.UNCERTAIN, 1, top_k=TOP),
        row("burst.jpg", Status.UNCERTAIN, 2, top_k=TOP),
        row("later.jpg", Status.UNCERTAIN, 30, top_k=TOP),
        row("placed.jpg", Status.PLACED, 40, latitude=48.9, longitude=2.4, radius_m=3000.0,
            position_source="inferred", method="neighbour"),
        row("conflict.jpg", Status.CONFLICT, 50, top_k=TOP, evidence="the tower is 812 km away"),
        row("tagged.jpg", Status.TAGGED, 55, top_k=TOP, landmark="Eiffel Tower", confidence=0.9,
            category_id=7, model="lenet-0123456789ab"),
        row("own.jpg", Status.TAGGED, 56, landmark="Our hut", category_id=OWN_ID, confidence=0.9,
            top_k=(TopCategory(OWN_ID, "own_our_hut", "Our hut", 0.9),)),
        row("none.jpg", Status.NO_LANDMARK, 57, top_k=TOP),
    ]  # fmt: skip


class Setting(NamedTuple):
    """A table, and a client of its review that has the key."""

    table: Path
    catalog: Path
    client: Any
    headers: dict[str, str]
    stop: Callable[[], None]

    def decide(self, row: int, action: str, **more: Any) -> Any:
        body = {"row": row, "action": action, **more}
        return self.client.post("/api/decide", json=body, headers=self.headers)


@pytest.fixture
def setting(tmp_path: Path, write_photo: WritePhoto) -> Iterator[Setting]:
    photo = write_photo("x.jpg", "taj_mahal")
    rows = _rows(photo.parent)
    for row in rows:
        Path(row.path).write_bytes(photo.read_bytes())
    table = tmp_path / "tags.csv"
    write_table(str(table), rows)
    catalog = tmp_path / "tags.csv.geotag"
    with ExitStack() as stack:
        opened = stack.enter_context(open_catalog(catalog))
        review = Review(rows, Decisions(opened.connection), Places(), with_tagged=True)
        access = Access()
        client = create_review_app(review, access, pytest.fail).test_client()
        key = client.post("/api/session", json={"token": access.token}).json["key"]
        yield Setting(table, catalog, client, {KEY_HEADER: key}, stack.close)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_the_doubtful_come_first_and_bursts_stay_together(tmp_path: Path) -> None:
    rows = _rows(tmp_path)
    shown = [(item.row, item.doubt) for item in build_queue(rows)]
    assert shown == [
        (5, Doubt.CONFLICT), (1, Doubt.UNCERTAIN), (2, Doubt.UNCERTAIN), (3, Doubt.UNCERTAIN),
        (4, Doubt.WIDE), (7, Doubt.OWN),
    ]  # fmt: skip
    bursts = {item.row: item.burst for item in build_queue(rows)}
    assert bursts[1] == bursts[2] != bursts[3]
    assert [item.row for item in build_queue(rows, with_tagged=True)][-1] == 6


def test_what_a_sidecar_says_is_no_guess_to_look_at() -> None:
    said = Outcome("a", Status.PLACED, 1.0, 2.0, method="sidecar")
    assert build_queue([said], with_tagged=True) == []
    assert len(build_queue([said._replace(method="neighbour")])) == 1


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_may_stand_for_a_time(times: list[str]) -> None:
    rows = [Outcome("a", Status.UNCERTAIN, taken_at=time, top_k=TOP) for time in times]
    assert len(build_queue(rows)) == len(rows)


def test_nobody_without_the_key_is_answered(setting: Setting) -> None:
    client = setting.client
    assert client.get("/").status_code == 200
    for path in ("queue", "photo/1", "picture/1", "search?q=a", "place", "towns", "explain/1"):
        assert client.get(f"/api/{path}").status_code == 403
        assert client.get(f"/api/{path}", headers={KEY_HEADER: "é"}).status_code == 403
    for path in ("decide", "undo"):
        assert client.post(f"/api/{path}", json={"row": 1, "action": "reject"}).status_code == 403
    assert client.post("/api/session", json={"token": ""}).status_code == 403
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_the_page_is_whole_and_loads_nothing_that_its_policy_forbids(setting: Setting) -> None:
    named = re.findall(r' (?:href|src)="(.*?)"', setting.client.get("/").text)
    assert len(named) == 8
    for address in named:  # Firefox complains of an icon in the page itself
        assert setting.client.get(address).status_code == 200, address


def test_the_token_opens_one_page() -> None:
    access = Access()
    token = access.token
    assert access.exchange("wrong") is None and access.exchange("\ud800") is None
    key = access.exchange(token)
    assert key and access.is_key(key) and access.exchange(token) is None


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"row": "1"}, {"row": True, "action": "reject"},
        {"row": 0, "action": "reject"},
        {"row": 99, "action": "accept"}, {"row": 1, "action": "crown"},
        {"row": 1, "action": "accept", "candidate": 9}, {"row": 1, "action": "change"},
        {"row": 1, "action": "change", "place": {"landmark": "x", "latitude": 91, "longitude": 0}},
        {"row": 1, "action": "change", "place": {"landmark": "", "latitude": 9, "longitude": 0,
                                                 "radius_m": 1}},
        {"row": 1, "action": "change", "place": {"landmark": "a\nb", "latitude": 9, "longitude": 0,
                                                 "radius_m": 1}},
        {"row": 1, "action": "change", "place": {"landmark": "a", "city": "b\0", "latitude": 9,
                                                 "longitude": 0, "radius_m": 1}},
        {"row": 1, "action": "change", "place": {"landmark": "a", "country": "\ud800",
                                                 "latitude": 9, "longitude": 0, "radius_m": 1}},
        {"row": 1, "action": "change", "place": {"slug": "atlantis", "latitude": 9,
                                                 "longitude": 0, "radius_m": 1}},
        {"row": 1, "action": "burst"}, {"row": 7, "action": "accept"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_reason(setting: Setting, body: Any) -> None:
    answer = setting.client.post("/api/decide", json=body, headers=setting.headers)
    assert answer.status_code == 400 and answer.json["error"]
    assert setting.client.post("/api/undo", json={}, headers=setting.headers).json == {"rows": []}


def test_neighbours_are_told_by_the_true_time_where_it_is_known() -> None:
    camera = Outcome("c.jpg", Status.PLACED, 1.0, 2.0, taken_at="2023-05-01T10:07:00",
                     utc="2023-05-01T08:00:00Z")  # fmt: skip
    phone = Outcome("p.jpg", Status.HAS_GPS, 1.0, 2.0, taken_at="2023-05-01T10:00:30")
    (near,) = Timeline([camera, phone]).neighbours(0, camera)
    assert near.seconds == -390
    (near,) = Timeline([camera, phone._replace(utc="2023-05-01T08:00:30Z")]).neighbours(0, camera)
    assert near.seconds == 30


def test_json_without_end_is_refused(setting: Setting) -> None:
    headers = setting.headers | {"Content-Type": "application/json"}
    answer = setting.client.post("/api/decide", data="[" * 90_000, headers=headers)
    assert answer.status_code == 400 and answer.json["error"]


def test_each_photo_comes_with_its_evidence(setting: Setting) -> None:
    shown = setting.client.get("/api/photo/1", headers=setting.headers).json
    assert shown["name"] == HOSTILE and shown["burst"] == 1 and shown["day"] == 6
    assert [one["landmark"] for one in shown["candidates"]] == ["Eiffel Tower", "Taj Mahal"]
    assert shown["candidates"][1]["position"][1] == pytest.approx(78.042, abs=0.01)
    near = [(one["name"], one["seconds"], one["inferred"]) for one in shown["neighbours"]]
    assert near == [("gps.jpg", -60, False), ("placed.jpg", 39 * 60, True)]
    picture = setting.client.get("/api/picture/1", headers=setting.headers)
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.format == "JPEG"
    conflict = setting.client.get("/api/photo/5", headers=setting.headers).json
    assert conflict["evidence"] == "the tower is 812 km away"


def _decide_on_all(setting: Setting) -> None:
    assert setting.decide(1, "accept").json == {"rows": [1]}
    assert setting.decide(1, "burst").json == {"rows": [2]}
    assert setting.decide(3, "accept", candidate=1).json == {"rows": [3]}
    place = {
        "landmark": "Hut",
        "latitude": 46.5,
        "longitude": 7.9,
        "radius_m": 50,
        "city": "Wengen",
    }
    assert setting.decide(5, "change", place=place).json == {"rows": [5]}
    assert setting.decide(6, "accept").json == {"rows": [6]}
    assert setting.decide(4, "accept").json == {"rows": [4]}
    setting.decide(7, "reject")
    setting.stop()


def test_decisions_are_the_users_word_for_write(setting: Setting) -> None:
    _decide_on_all(setting)
    shown = _run("write", setting.table, "--dry-run")
    assert "5 landmarks that the scan did not find, to be written as named by you" in shown.stderr
    for name, landmark in (
        (HOSTILE, "Eiffel Tower"), ("burst.jpg", "Eiffel Tower"), ("later.jpg", "Taj Mahal"),
        ("conflict.jpg", "Hut"), ("tagged.jpg", "Eiffel Tower"),
    ):  # fmt: skip
        assert f"{name}: {landmark}" in shown.stderr
    assert "  + XMP geotag:Source: user" in shown.stdout
    assert "46,30.000000N, 7,54.000000E" in shown.stdout
    assert "placed.jpg" not in shown.stderr and "own.jpg: " not in shown.stderr
    assert "1 landmark that you cleared" in shown.stderr


def test_what_was_rejected_is_taken_out_of_the_photo(setting: Setting) -> None:
    first = _run("write", setting.table, "--include", "tagged.jpg")
    assert isinstance(first.exception, LockedError)  # while the review is open
    setting.stop()
    assert "1 photo written" in _run("write", setting.table, "--include", "tagged.jpg").stderr
    with open_catalog(setting.catalog) as opened:
        path = str(setting.table.parent / "photos" / "tagged.jpg")
        Decisions(opened.connection).add({path: Decision(Verdict.REJECTED)})
    shown = _run("write", setting.table, "--include", "tagged.jpg", "--dry-run")
    assert "  - XMP dc:subject: Eiffel Tower\n" in shown.stdout
    assert "1 photo written" in _run("write", setting.table, "--include", "tagged.jpg").stderr
    with open_catalog(setting.catalog) as opened:
        assert opened.cleared.is_cleared(path)


def test_a_decision_of_a_private_place_is_not_written(setting: Setting) -> None:
    _decide_on_all(setting)
    shown = _run("write", setting.table, "--dry-run", "--private", "46.5,7.9,1000")
    assert "Hut" not in shown.output and "4 landmarks" in shown.stderr


def test_undo_takes_back_one_step_after_the_other(setting: Setting) -> None:
    setting.decide(1, "accept")
    setting.decide(1, "day")
    undo = lambda: setting.client.post("/api/undo", json={}, headers=setting.headers).json  # noqa: E731
    assert sorted(undo()["rows"]) == [2, 3, 4, 5, 6, 7]
    assert undo()["rows"] == [1]
    assert undo()["rows"] == []
    setting.stop()
    assert decisions_in(setting.catalog) == {}


@pytest.mark.slow
def test_places_are_found_by_name(setting: Setting) -> None:
    def find(query: str, **near: float) -> list[dict[str, Any]]:
        asked = {"q": query, **near}
        answer = setting.client.get("/api/search", query_string=asked, headers=setting.headers)
        found: list[dict[str, Any]] = answer.json["places"]
        return found

    assert find("taj mah")[0]["slug"] == "taj_mahal"
    assert find("CHICHEN")[0]["landmark"] == "Chichén Itzá"
    towns = [one for one in find("zurich", latitude=47.4, longitude=8.5) if not one["slug"]]
    assert towns[0]["latitude"] == pytest.approx(47.37, abs=0.1)
    for query, region in (("paris", "Île-de-France"), ("york", "England"), ("rom", "Lazio")):
        towns = [one for one in find(query) if not one["slug"]]
        assert towns[0]["region"] == region, query
    assert find("new york")[0]["landmark"] == "New York City"
    for query, name in (
        ("wien", "Vienna"), ("VIENNE", "Vienna"), ("München", "Munich"), ("Muenchen", "Munich"),
        ("roma", "Rome"), ("Weissenburg in Bayern", "Weißenburg in Bayern"), ("東京", "Tokyo"),
        ("Москва", "Moscow"), ("firenz", "Florence"),
    ):  # fmt: skip
        assert next(one["landmark"] for one in find(query) if not one["slug"]) == name, query
    nearest = [one for one in find("paris", latitude=33.6, longitude=-95.5) if not one["slug"]]
    assert (nearest[0]["region"], nearest[0]["country"]) == ("Texas", "United States")
    assert find("") == find("x" * 5000) == []
    place = {"latitude": 48.8584, "longitude": 2.2945}
    answer = setting.client.get("/api/place", query_string=place, headers=setting.headers).json
    assert answer["landmark"] and answer["country"] == "France"
    assert answer["latitude"] == 48.8584


def test_decisions_are_labels_to_train_with(setting: Setting) -> None:
    from training.data.dataset import load_dataset

    _decide_on_all(setting)
    folder = setting.table.parent / "photos"
    labels = folder / "manifest.csv"
    result = _run("review", setting.table, "--labels", labels)
    assert "5 labels" in result.stderr and "2 decisions left out" in result.stderr
    samples = {sample.path: sample.label for sample in load_dataset(folder).samples}
    assert samples == {
        HOSTILE: "eiffel_tower", "burst.jpg": "eiffel_tower", "later.jpg": "taj_mahal",
        "tagged.jpg": "eiffel_tower", "own.jpg": "",
    }  # fmt: skip
    assert "labels" not in _run("review", setting.table, "--labels", folder / "gps.jpg").stderr
