"""The report: what the page holds, that nothing in it runs or loads, and its size."""

from __future__ import annotations

import base64
import html
import io
import json
import random
import re
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geotag.cli import cli
from geotag.decoding.previews import make_previews
from geotag.errors import GeotagError, TableError, UsageError
from geotag.options import CHOICES
from geotag.records import Outcome, Status, TopCategory
from geotag.report.data import TEXT_LIMIT, report_data, script_json
from geotag.report.page import MOST_THUMBNAILS, Chunks, build_page, thumbnail_bytes
from geotag.tables import write_table
from tests.conftest import WritePhoto

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
ROWS = [
    Outcome(
        f"/photos/{HOSTILE}", Status.TAGGED, 48.8584, 2.2945, None, "inferred", 500.0,
        "Eiffel Tower", 7, 0.98765, "Paris", "France", "2023-05-01T10:00:00", "</script><b>",
        (TopCategory(7, "eiffel_tower", "Eiffel Tower", 0.98765),), method="landmark",
    ),
    Outcome("/photos/b.jpg", Status.HAS_GPS, -33.85, 151.21, position_source="measured"),
    Outcome("/photos/c.jpg", Status.UNREADABLE, error="damaged: cut off"),
    Outcome("/photos/d.jpg", Status.CONFLICT, evidence="the tower is 812 km away"),
]  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def _script(page: str, name: str) -> object:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_what_the_table_says() -> None:
    data = _script(build_page("tags.csv", ROWS, []), "rows")
    assert isinstance(data, dict) and data["count"] == 4
    columns, words = data["columns"], data["words"]
    assert columns["name"] == [HOSTILE, "b.jpg", "c.jpg", "d.jpg"]
    assert [words[at] for at in columns["status"]] == [row.status.value for row in ROWS]
    assert [words[at] for at in columns["folder"]] == ["/photos"] * 4
    assert columns["position"] == [[48.8584, 2.2945], [-33.85, 151.21], None, None]
    assert columns["radius"] == [500, None, None, None]
    assert columns["error"][2] == "damaged: cut off"
    word, confidence = columns["candidates"][0][0]
    assert (words[word], confidence) == ("Eiffel Tower", 0.9877)


def test_a_position_that_is_none_on_earth_is_left_out() -> None:
    rows = [
        Outcome("a.jpg", Status.HAS_GPS, *at) for at in ((91.0, 0.0), (0.0, 181.0), (5.0, None))
    ]
    assert report_data(rows)["columns"]["position"] == [None] * 3


def test_long_cells_are_cut() -> None:
    row = Outcome("a.jpg", Status.UNREADABLE, error="x" * 10**6, camera="y" * 10**6)
    assert len(script_json(report_data([row]))) < 4 * TEXT_LIMIT


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_in_a_script_element_stays_text(text: str) -> None:
    written = script_json([text, f"</script><!--{text}"])
    assert not set("<>&") & set(written)
    assert json.loads(written) == [text, f"</script><!--{text}"]


def test_nothing_hostile_is_markup() -> None:
    page = build_page(HOSTILE, ROWS, [])
    assert HOSTILE not in page and "<b>" not in page and "&lt;img src=x" in page
    assert len(re.findall("<script", page)) == 5


def test_the_policy_permits_the_page_itself_alone() -> None:
    page = build_page("tags.csv", ROWS, [])
    found = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    policy = dict(part.strip().split(" ", 1) for part in html.unescape(found[1]).split(";"))
    assert policy["default-src"] == "'none'" and policy["img-src"] == "data:"
    for element, source in (("<script>", "script-src"), ("<style>", "style-src")):
        (text,) = re.findall(f"{element}(.*?)</", page, re.S)
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        assert policy[source] == f"'sha256-{digest}'"
    assert not re.search(r"https?://|@import|url\(|\son\w+=", build_page("tags.csv", [], []))


def test_scripts_make_no_markup_of_text() -> None:
    (script,) = re.findall("<script>(.*?)</script>", build_page("tags.csv", [], []), re.S)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_the_page_has_words_for_every_status_and_method() -> None:
    (script,) = re.findall("<script>(.*?)</script>", build_page("tags.csv", [], []), re.S)
    objects = re.findall(r"^const (?:STATUSES|METHODS) = \{(.*?)\};", script, re.S | re.M)
    statuses, methods = (set(re.findall(r'(\w+): "', words)) for words in objects)
    assert statuses == {status.value for status in Status}
    assert methods == {*CHOICES["clear"], "position"}


def test_thumbnails_of_10000_photos_fit_into_the_file() -> None:
    most = thumbnail_bytes(10_000)
    thumbnails = [bytes(most)] * 10_000
    rows = [
        ROWS[0]._replace(path=f"/photos/{at:06}.jpg", evidence="between two others " * 5)
        for at in range(10_000)
    ]
    assert len(build_page("tags.csv", rows, thumbnails).encode()) <= 20_000_000
    assert thumbnail_bytes(1) == thumbnail_bytes(1000) >= 4_000
    with pytest.raises(UsageError, match="--no-thumbnails"):
        thumbnail_bytes(MOST_THUMBNAILS + 1)


@pytest.mark.parametrize("most", [4_000, 1_000, 350])
def test_a_thumbnail_keeps_within_its_size(tmp_path: Path, most: int) -> None:
    noise = random.Random(0).randbytes(200 * 150 * 3)
    path = tmp_path / "noise.png"
    Image.frombytes("RGB", (200, 150), noise).save(path)
    (small,) = make_previews([str(path)], most)
    assert len(small) <= most
    if most == 4_000:
        with Image.open(io.BytesIO(small)) as thumbnail:
            assert thumbnail.format == "WEBP" and thumbnail.width == thumbnail.height


def test_what_cannot_be_read_has_no_thumbnail(tmp_path: Path, write_photo: WritePhoto) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0cut")
    photo = write_photo("a.jpg", "taj_mahal")
    paths = [str(bad), str(tmp_path / "gone.jpg"), "s3://bucket/a.jpg", str(tmp_path), str(photo)]
    *none, thumbnail = make_previews(["/photos/\0.jpg", *paths], 4_000)
    assert none == [b""] * 5
    with Image.open(io.BytesIO(thumbnail)) as image:
        red, green, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert green > red and green > blue


@pytest.mark.slow
def test_the_command_writes_the_same_page_again(tmp_path: Path, write_photo: WritePhoto) -> None:
    photo = write_photo("a.jpg", "taj_mahal")
    table, out = tmp_path / "tags.csv", tmp_path / "report.html"
    write_table(str(table), [Outcome(str(photo), Status.NO_LANDMARK)])
    result = run("report", table, "--out", out)
    assert result.exit_code == 0, result.output
    page = out.read_bytes()
    assert run("report", table, "--out", out).exit_code == 0
    assert out.read_bytes() == page
    (thumbnail,) = _script(page.decode(), "thumbnails")
    assert base64.b64decode(thumbnail)[8:12] == b"WEBP"
    photo.unlink()
    assert run("report", table, "--out", out, "--no-thumbnails").exit_code == 0
    assert _script(out.read_text("utf-8"), "thumbnails") == []


def test_the_command_writes_over_no_photo(tmp_path: Path, write_photo: WritePhoto) -> None:
    photo = write_photo("a.jpg")
    before = photo.read_bytes()
    table = tmp_path / "tags.csv"
    write_table(str(table), [Outcome(str(photo), Status.NO_LANDMARK)])
    result = run("report", table, "--out", photo)
    assert isinstance(result.exception, UsageError) and ".html" in str(result.exception)
    assert photo.read_bytes() == before


def _folder_of(out: Path) -> dict[str, bytes]:
    return {str(f.relative_to(out)): f.read_bytes() for f in out.rglob("*") if f.is_file()}


def test_a_folder_keeps_thumbnails_in_files_of_their_own(
    tmp_path: Path, write_photo: WritePhoto
) -> None:
    photos = [write_photo(f"{number:03}.jpg", "taj_mahal") for number in range(2)]
    rows = [Outcome(str(photos[at % 2]), Status.NO_LANDMARK) for at in range(150)]
    table, out = tmp_path / "tags.csv", tmp_path / "report"
    write_table(str(table), rows)
    result = run("report", table, "--out", f"{out}/")
    assert result.exit_code == 0, result.output
    assert f"{out}/: 150 photos, 150 with a thumbnail" in result.stderr
    made = _folder_of(out)
    chunks = _script(made["index.html"].decode(), "thumbnails")
    assert isinstance(chunks, dict) and chunks["size"] == 100
    files = [f"{chunks['folder']}/{at}.js" for at in range(2)]
    assert sorted(made) == ["index.html", *files]
    found = re.fullmatch(r"keepThumbnails\((\d+),(\[.*\])\);\n", made[files[1]].decode())
    assert found is not None and found[1] == "1"
    thumbnails = json.loads(found[2])
    assert len(thumbnails) == 50 and base64.b64decode(thumbnails[0])[8:12] == b"WEBP"
    assert run("report", table, "--out", out).exit_code == 0
    assert _folder_of(out) == made


def test_a_folder_of_other_photos_leaves_no_thumbnail_of_the_former(
    tmp_path: Path, write_photo: WritePhoto
) -> None:
    table, out = tmp_path / "tags.csv", tmp_path / "report"
    for name in ("a.jpg", "b.jpg"):
        write_table(str(table), [Outcome(str(write_photo(name)), Status.NO_LANDMARK)])
        assert run("report", table, "--out", f"{out}/").exit_code == 0
    assert len(list(out.glob("thumbnails-*/*.js"))) == len(list(out.glob("thumbnails-*"))) == 1
    (*out.glob("thumbnails-*"),)[0].joinpath("mine.txt").write_text("kept")
    assert run("report", table, "--out", f"{out}/", "--no-thumbnails").exit_code == 0
    assert [path.name for path in out.rglob("*") if path.is_file()] != ["index.html"]
    assert not list(out.rglob("*.js")) and list(out.rglob("mine.txt"))


def test_a_folder_that_holds_anything_else_is_refused(
    tmp_path: Path, write_photo: WritePhoto
) -> None:
    photo = write_photo("a.jpg")
    table = tmp_path / "tags.csv"
    write_table(str(table), [Outcome(str(photo), Status.NO_LANDMARK)])
    (photo.parent / "index.html").write_text("<title>mine</title>")
    result = run("report", table, "--out", photo.parent)
    assert isinstance(result.exception, TableError) and "other files" in str(result.exception)
    assert sorted(path.name for path in photo.parent.iterdir()) == ["a.jpg", "index.html"]
    nowhere = run("report", table, "--out", tmp_path / "no" / "such" / "report/")
    assert isinstance(nowhere.exception, GeotagError)
    bucket = run("report", table, "--out", "s3://bucket/report/")
    assert isinstance(bucket.exception, UsageError)


def test_a_page_of_a_folder_lets_its_own_script_load_and_no_other() -> None:
    page = html.unescape(build_page("tags.csv", ROWS, [], chunks=Chunks("thumbnails-0", 100)))
    policy = re.search(r"script-src 'sha256-[^']+' 'strict-dynamic'; style-src", page)
    assert policy and "'strict-dynamic'" not in build_page("tags.csv", ROWS, [])
