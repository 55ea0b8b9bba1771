"""The landmark table's parser and its look-ups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.categories import (
    MAX_BYTES,
    MAX_RADIUS_M,
    OWN_ID,
    format_categories,
    load_categories,
    parse_categories,
    parse_own_category,
    slugify,
)
from geotag.errors import CategoryTableError
from geotag.records import Category

TABLE = load_categories()

# Look-ups


def test_look_up_by_slug_and_id() -> None:
    petra = TABLE.by_slug("petra")
    assert petra.name == "Petra"
    assert TABLE.by_id(petra.id) is petra
    assert len(TABLE) == len(list(TABLE))


@pytest.mark.parametrize("slug", ["", "Petra", "atlantis"])
def test_a_slug_that_is_not_there(slug: str) -> None:
    with pytest.raises(CategoryTableError, match="no category"):
        TABLE.by_slug(slug)


@pytest.mark.parametrize("id", [-1, len(TABLE)])
def test_an_id_that_is_not_there(id: int) -> None:
    with pytest.raises(CategoryTableError, match="no category"):
        TABLE.by_id(id)


# Parsing

PETRA = {
    "id": 0,
    "slug": "petra",
    "name": "Petra",
    "latitude": 30.3285,
    "longitude": 35.4444,
    "radius_m": 4000,
    "city": "Wadi Musa",
    "region": "Ma'an",
    "country": "Jordan",
    "country_code": "JO",
}


def table_of(*entries: object, schema: object = 1) -> str:
    return json.dumps({"schema": schema, "categories": entries})


def test_parse_gives_the_categories() -> None:
    [petra] = parse_categories(table_of(PETRA))
    assert petra == Category(**PETRA)
    assert isinstance(petra.radius_m, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": 1}, "id 1; ids run 0, 1, 2"),
        ({"id": True}, "id True"),
        ({"id": 0.0}, "id 0.0"),
        ({"slug": ""}, "slug"),
        ({"slug": "Petra"}, "slug"),
        ({"slug": "petra__jordan"}, "slug"),
        ({"slug": "petra\n"}, "slug"),
        ({"slug": "../petra"}, "slug"),
        ({"slug": 5}, "slug"),
        ({"name": ""}, "name is empty"),
        ({"name": " \t"}, "name is empty"),
        ({"name": None}, "name is empty or not a text"),
        ({"name": "Petra "}, "name has spaces"),
        ({"name": "Pe\x1b[2Jtra"}, "do not print"),
        ({"name": "Petra\ud800"}, "do not print"),
        ({"name": "P" * 201}, "name is longer than 200"),
        ({"city": ""}, "city is empty"),
        ({"region": ""}, "region is empty"),
        ({"country": ""}, "country is empty"),
        ({"latitude": 90.5}, "latitude 90.5 is outside -90 to 90"),
        ({"latitude": "30"}, "latitude is not a number"),
        ({"latitude": True}, "latitude is not a number"),
        ({"longitude": -180.5}, "longitude -180.5 is outside"),
        ({"longitude": 10**400}, "longitude"),
        ({"radius_m": 0}, "radius_m 0 is outside"),
        ({"radius_m": 1e12}, "radius_m"),
        ({"country_code": "UK"}, "'UK' is not an ISO 3166-1"),
        ({"country_code": "jo"}, "'jo' is not an ISO 3166-1"),
        ({"country_code": ["JO"]}, "is not an ISO 3166-1"),
        ({"lat": 30.0}, "unknown field 'lat'"),
    ],
)
def test_an_entry_that_is_wrong_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CategoryTableError, match="entry 0") as error:
        parse_categories(table_of(PETRA | changes))
    assert message in str(error.value)


@pytest.mark.parametrize("field", PETRA)
def test_a_field_that_is_missing_is_named(field: str) -> None:
    entry = {name: value for name, value in PETRA.items() if name != field}
    with pytest.raises(CategoryTableError, match=f"entry 0.*no {field}"):
        parse_categories(table_of(entry))


def test_the_second_entry_with_a_slug_is_named() -> None:
    with pytest.raises(CategoryTableError, match=r"entry 1 \(petra\): entry 0 has this slug"):
        parse_categories(table_of(PETRA, PETRA | {"id": 1}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON table"),
        ("{", "not a JSON table"),
        ("[" * 100_000, "not a JSON table"),
        ("[]", '"schema" and "categories"'),
        ('{"schema": 1}', '"schema" and "categories"'),
        ('{"schema": 1, "categories": [], "more": 1}', '"schema" and "categories"'),
        (table_of(), "with entries"),
        (table_of(PETRA, schema=2), "schema 2"),
        (table_of(PETRA, schema="1"), "schema '1'"),
        (table_of(PETRA, schema=True), "schema True"),
        (table_of("petra"), "entry 0: not an object"),
        (table_of(PETRA).replace("30.3285", "NaN"), "NaN is not a JSON number"),
        (table_of(PETRA).replace("30.3285", "1e999"), "latitude inf is outside"),
        (table_of(PETRA).replace("30.3285", "9" * 5000), "not a JSON table"),
        (table_of(PETRA).replace('"id": 0', '"id": 0, "id": 0'), "'id' twice"),
        (" " * (MAX_BYTES + 1), "larger than"),
    ],
    ids=range(16),
)
def test_a_text_that_is_no_table(text: str, message: str) -> None:
    with pytest.raises(CategoryTableError) as error:
        parse_categories(text)
    assert message in str(error.value)
    assert len(str(error.value)) < 500


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9)
TEXTS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
PLACES = st.builds(
    Category,
    id=st.just(0),
    slug=st.from_regex(r"[a-z0-9]{1,8}(_[a-z0-9]{1,8}){0,3}", fullmatch=True),
    name=TEXTS,
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    radius_m=st.floats(1, MAX_RADIUS_M),
    city=TEXTS,
    region=TEXTS,
    country=TEXTS,
    country_code=st.sampled_from(["JO", "NP", "US"]),
)


@given(st.lists(PLACES, min_size=1, max_size=4, unique_by=lambda place: place.slug))
def test_what_is_formatted_parses_to_the_same(places: list[Category]) -> None:
    categories = tuple(place._replace(id=index) for index, place in enumerate(places))
    assert parse_categories(format_categories(categories)) == categories


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(PETRA)), JSON)
def test_a_hostile_field_parses_or_is_refused(field: str, value: object) -> None:
    try:
        [category] = parse_categories(table_of(PETRA | {field: value}))
    except CategoryTableError:
        return
    assert -90 <= category.latitude <= 90
    assert -180 <= category.longitude <= 180
    assert all(text.isprintable() for text in category if isinstance(text, str))


OWN = PETRA | {"id": OWN_ID, "slug": "own_petra"}
NUMBERS = st.sampled_from([2**63, 10**400, -(10**30), 1e300, float("inf"), OWN_ID, OWN_ID + 1])


@given(st.sampled_from(sorted(OWN)), JSON | NUMBERS)
def test_a_hostile_field_of_an_added_landmark_parses_or_is_refused(
    field: str, value: object
) -> None:
    try:
        category = parse_own_category(OWN | {field: value})
    except ValueError as error:
        assert len(str(error)) < 500
        return
    assert -90 <= (category.latitude or 0) <= 90
    assert OWN_ID <= category.id < 2**63


# Loading


def test_load_names_the_file_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "places.json"
    path.write_text(table_of(PETRA | {"latitude": 91}), encoding="utf-8")
    with pytest.raises(CategoryTableError, match=r"places\.json: entry 0 \('petra'\): latitude 91"):
        load_categories(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "not UTF-8"), (b" " * (MAX_BYTES + 1), "larger than")],
    ids=["not UTF-8", "too large"],
)
def test_load_refuses_bytes_that_are_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "places.json"
    path.write_bytes(content)
    with pytest.raises(CategoryTableError, match=rf"places\.json: {message}"):
        load_categories(path)


def test_load_says_when_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CategoryTableError, match=r"none\.json: cannot be read: No such file"):
        load_categories(tmp_path / "none.json")


def test_load_reads_another_table(tmp_path: Path) -> None:
    path = tmp_path / "places.json"
    path.write_text(table_of(PETRA), encoding="utf-8")
    assert [category.slug for category in load_categories(path)] == ["petra"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Our village church", "our_village_church"),
        ("Wrocław's Dwarves", "wroclaws_dwarves"),
        ("  Sacré-Cœur / Paris_ ", "sacre_coeur_paris"),
        ("故宫", ""),
        ("é" * 300, "e" * 200),
    ],
)
def test_names_become_slugs(name: str, slug: str) -> None:
    assert slugify(name) == slug
