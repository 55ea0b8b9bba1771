"""Makes geotag/places/countries.json.gz, the names of countries in many languages.

python scripts/make_countries.py OUT (needs the package Babel)

They are CLDR's (Unicode licence, unicode.org/license.txt), of the languages that name nearly all
countries, by ISO 3166-1 code.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import click
from babel import Locale, localedata

from geotag.categories import ISO_3166

_CODES = sorted(ISO_3166 | {"XK"})
_LEAST = 240


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def main(out: Path) -> None:
    """Write the table; the same bytes from the same CLDR."""
    names: dict[str, list[str]] = {}
    for language in sorted(localedata.locale_identifiers()):
        territories = Locale.parse(language).territories
        found = [str(territories.get(code, "")) for code in _CODES]
        parent = names.get(language.partition("_")[0])
        if sum(map(bool, found)) >= _LEAST and found != parent:
            names[language] = found
    text = json.dumps({"codes": _CODES, "names": names}, ensure_ascii=False)
    out.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    click.echo(f"{len(names)} languages, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
