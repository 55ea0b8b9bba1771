"""Countries in the language of the user."""

from __future__ import annotations

import pytest

from geotag.errors import UsageError
from geotag.places.languages import country_names
from geotag.places.names import Gazetteer
from geotag.records import Location


@pytest.mark.parametrize(
    ("language", "name"),
    [("de", "Deutschland"), ("pt-BR", "Alemanha"), ("fr_CH.UTF-8", "Allemagne"), ("JA", "ドイツ")],
)
def test_names_by_code(language: str, name: str) -> None:
    assert country_names(language)["DE"] == name


def test_variants_differ_where_the_languages_do() -> None:
    assert country_names("zh_Hant")["DE"] != country_names("zh")["DE"]


@pytest.mark.parametrize("language", ["", "klingon", "../de", "_"])
def test_a_language_that_is_not_known(language: str) -> None:
    with pytest.raises(UsageError, match="no names of countries in"):
        country_names(language)


def test_positions_are_named_in_it() -> None:
    gazetteer = Gazetteer(country_names("de"))
    assert gazetteer.name(Location(48.573, 7.76)).country == "Frankreich"
    assert gazetteer.name(Location(42.66, 21.16)).country == "Kosovo"
    assert Gazetteer({}).name(Location(48.573, 7.76)).country == "France"
