"""The names of countries in the user's language, by CLDR (made by scripts/make_countries.py)."""

from __future__ import annotations

import gzip
import json
from functools import cache
from importlib import resources

from geotag.errors import UsageError


def country_names(language: str) -> dict[str, str]:
    """Names by ISO 3166-1 code; those that the language lacks are left out.

    `language` is as BCP 47 or POSIX write it: de, pt-BR, zh_Hant_TW.UTF-8. What is not known in
    detail is taken as the language alone. Raises UsageError for a language that is not known.
    """
    table = _load()
    parts = language.partition(".")[0].replace("-", "_").split("_")
    by_name = {name.lower(): name for name in table["names"]}
    for length in range(len(parts), 0, -1):
        name = by_name.get("_".join(parts[:length]).lower())
        if name is not None:
            pairs = zip(table["codes"], table["names"][name], strict=True)
            return {code: text for code, text in pairs if text}
    raise UsageError(f"language: no names of countries in {language!r}; give one such as de, pt-BR")


@cache
def _load() -> dict[str, dict[str, list[str]]]:
    packed = resources.files("geotag.places").joinpath("countries.json.gz").read_bytes()
    table: dict[str, dict[str, list[str]]] = json.loads(gzip.decompress(packed))
    return table
