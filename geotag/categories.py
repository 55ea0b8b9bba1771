"""The landmark table: parse, validate, look up."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from geotag.errors import CategoryTableError
from geotag.records import Category, Landmark, OwnCategory

SCHEMA = 1
MAX_BYTES = 8 * 1024 * 1024
MAX_TEXT = 200
OWN_PREFIX = "own_"  # of the slugs of landmarks that users add
OWN_ID = 1_000_000  # their least id
OWN_LIMIT = 10_000
MAX_RADIUS_M = 20_037_508  # half of the equator: no two places are further apart
_RANGES = {"latitude": (-90, 90), "longitude": (-180, 180), "radius_m": (1, MAX_RADIUS_M)}

_PACKAGED = Path(__file__).with_name("categories.json")
_SLUG = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
# Latin letters that Unicode does not decompose into a plain letter and a mark.
_PLAIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ß": "ss", "æ": "ae", "œ": "oe",
                        "ı": "i", "þ": "th", "'": "", "’": ""})  # fmt: skip
ISO_3166 = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()
)


class CategoryTable:
    """Categories in the order of their ids, found by slug or id."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self._by_id = tuple(categories)
        self._by_slug = {category.slug: category for category in self._by_id}

    def __iter__(self) -> Iterator[Category]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def by_slug(self, slug: str) -> Category:
        """The category with this slug; raises CategoryTableError when there is none."""
        try:
            return self._by_slug[slug]
        except KeyError:
            raise CategoryTableError(f"no category {slug!r} in the landmark table") from None

    def by_id(self, id: int) -> Category:
        """The category with this id; raises CategoryTableError when there is none."""
        if not 0 <= id < len(self._by_id):
            raise CategoryTableError(f"no category {id} in the landmark table")
        return self._by_id[id]


class ModelCategories:
    """The landmarks of one model: the table's, and those that its user added."""

    def __init__(self, own: Iterable[OwnCategory] = ()) -> None:
        self._own = {category.slug: category for category in own}
        self._table = load_categories()

    def by_slug(self, slug: str) -> Landmark:
        """The landmark with this slug; raises CategoryTableError when there is none."""
        return self._own.get(slug) or self._table.by_slug(slug)


def load_categories(path: Path | None = None) -> CategoryTable:
    """Read a landmark table, the package's own unless `path` names another.

    Raises CategoryTableError, with the file's name, when it cannot be read or is malformed.
    """
    return _packaged() if path is None else _load(path)


@functools.cache
def _packaged() -> CategoryTable:
    return _load(_PACKAGED)


def _load(path: Path) -> CategoryTable:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        _check_size(len(content))
        return CategoryTable(parse_categories(content.decode("utf-8")))
    except OSError as error:
        raise CategoryTableError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CategoryTableError(f"{path}: not UTF-8 text") from error
    except CategoryTableError as error:
        raise CategoryTableError(f"{path}: {error}") from error


def parse_categories(text: str) -> tuple[Category, ...]:
    """Parse the JSON of a landmark table.

    Raises CategoryTableError, naming the entry and what is wrong with it. Nothing is repaired:
    the ids are 0 to n-1 in order, slugs are unique, every field is there and no other.
    """
    _check_size(len(text))
    categories = tuple(
        _category(index, entry) for index, entry in enumerate(_entries(_load_json(text)))
    )
    first_with: dict[str, int] = {}
    for category in categories:
        first = first_with.setdefault(category.slug, category.id)
        if first != category.id:
            raise CategoryTableError(
                f"entry {category.id} ({category.slug}): entry {first} has this slug already"
            )
    return categories


def parse_own_category(entry: object) -> OwnCategory:
    """The description of a landmark that a user added. Raises ValueError on nonsense.

    Its place may be left out (None and ""); latitude and longitude come together.
    """
    if not isinstance(entry, dict) or entry.keys() != set(OwnCategory._fields):
        raise ValueError("an own category lacks a field, or has one too many")
    number, slug = entry["id"], _checked_slug(entry["slug"])
    if type(number) is not int or not OWN_ID <= number < OWN_ID + OWN_LIMIT:
        raise ValueError(f"id {brief(number)} is not of an own category")
    if not slug.startswith(OWN_PREFIX):
        raise ValueError(f"the slug of an own category begins with {OWN_PREFIX}")
    if (entry["latitude"] is None) != (entry["longitude"] is None):
        raise ValueError("latitude and longitude come together")
    return OwnCategory(
        id=number,
        slug=slug,
        name=_checked_text(entry, "name"),
        **_checked_place(entry, is_optional=True),
    )


def slugify(name: str) -> str:
    """A name as a slug: plain lower-case words joined by underscores; "" when none are left."""
    decomposed = unicodedata.normalize("NFKD", name.casefold().translate(_PLAIN))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return "_".join(re.findall(r"[a-z0-9]+", plain))[:MAX_TEXT].rstrip("_")


def format_categories(categories: Iterable[Category]) -> str:
    """The JSON that `parse_categories` reads, one category a line."""
    lines = (json.dumps(_entry(category), ensure_ascii=False) for category in categories)
    return f'{{"schema": {SCHEMA}, "categories": [\n' + ",\n".join(lines) + "\n]}\n"


def _entry(category: Category) -> dict[str, object]:
    return {
        field: int(value) if isinstance(value, float) and value.is_integer() else value
        for field, value in category._asdict().items()
    }


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise CategoryTableError(f"larger than {MAX_BYTES} bytes")


def _load_json(text: str) -> object:
    try:
        return json.loads(
            text, object_pairs_hook=_object_without_repeats, parse_constant=_reject_constant
        )
    except (ValueError, RecursionError) as error:
        raise CategoryTableError(f"not a JSON table: {error}") from error


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for field, value in pairs:
        if field in fields:
            raise ValueError(f"an object has the field {brief(field)} twice")
        fields[field] = value
    return fields


def _reject_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _entries(table: object) -> list[object]:
    if not isinstance(table, dict) or table.keys() != {"schema", "categories"}:
        raise CategoryTableError('not an object with "schema" and "categories" alone')
    schema, entries = table["schema"], table["categories"]
    if type(schema) is not int or schema != SCHEMA:
        raise CategoryTableError(f"schema {brief(schema)}; this geotag reads schema {SCHEMA}")
    if not isinstance(entries, list) or not entries:
        raise CategoryTableError('"categories" is not a list with entries')
    return entries


def _category(index: int, entry: object) -> Category:
    try:
        return _checked_category(index, entry)
    except ValueError as problem:
        slug = entry.get("slug") if isinstance(entry, dict) else None
        label = (
            f"entry {index} ({slug[:MAX_TEXT]!r})" if isinstance(slug, str) else f"entry {index}"
        )
        raise CategoryTableError(f"{label}: {problem}") from None


def _checked_category(index: int, entry: object) -> Category:
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    if missing := [field for field in Category._fields if field not in entry]:
        raise ValueError(f"no {', '.join(missing)}")
    if unknown := [field for field in entry if field not in Category._fields]:
        raise ValueError(f"unknown field {brief(unknown[0])}")
    if type(entry["id"]) is not int or entry["id"] != index:
        raise ValueError(f"id {brief(entry['id'])}; ids run 0, 1, 2 and on, in order")
    return Category(
        id=index,
        slug=_checked_slug(entry["slug"]),
        name=_checked_text(entry, "name"),
        **_checked_place(entry, is_optional=False),
    )


def _checked_place(entry: dict[str, object], is_optional: bool) -> dict[str, Any]:
    """Where a landmark is; where that is optional, numbers may be None and texts empty."""
    place: dict[str, Any] = {}
    for field, (low, high) in _RANGES.items():
        is_left_out = is_optional and entry[field] is None
        place[field] = None if is_left_out else _checked_number(entry, field, low, high)
    for field in ("city", "region", "country", "country_code"):
        is_left_out = is_optional and entry[field] == ""
        check = _checked_country_code if field == "country_code" else _checked_text
        place[field] = "" if is_left_out else check(entry, field)
    return place


def _checked_slug(slug: object) -> str:
    if not isinstance(slug, str) or len(slug) > MAX_TEXT or not _SLUG.fullmatch(slug):
        raise ValueError("the slug is not lower-case ASCII words joined by single underscores")
    return slug


def _checked_country_code(entry: dict[str, object], field: str) -> str:
    code = entry[field]
    if not isinstance(code, str) or code not in ISO_3166:
        raise ValueError(f"country_code {brief(code)} is not an ISO 3166-1 alpha-2 code")
    return code


def _checked_text(entry: dict[str, object], field: str) -> str:
    text = entry[field]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{field} is empty or not a text")
    if len(text) > MAX_TEXT:
        raise ValueError(f"{field} is longer than {MAX_TEXT} characters")
    if text != text.strip() or not text.isprintable():
        raise ValueError(f"{field} has spaces at its ends or characters that do not print")
    return text


def _checked_number(entry: dict[str, object], field: str, low: float, high: float) -> float:
    number = entry[field]
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"{field} is not a number")
    if not low <= number <= high:  # before the conversion: an integer may be too large for it
        raise ValueError(f"{field} {brief(number)} is outside {low} to {high}")
    return float(number)
