"""Positions for maps, as KML 2.2 and GPX 1.1: rows without a position are left out, so neither is
read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from html import escape
from typing import Any, BinaryIO
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from geotag.records import Outcome
from geotag.tables.base import SCHEMA_VERSION, degrees, finite, format_top_k

_KML = "http://www.opengis.net/kml/2.2"
_GPX = "http://www.topografix.com/GPX/1/1"
# The colour of a pin, as alpha, blue, green, red, by where its position comes from.
_STYLES = {"measured": "ff3c9a2e", "inferred": "ff0080ff", "unknown": "ffb0b0b0"}
# What XML 1.0 cannot hold, and other control characters.
_CONTROL = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DATE_LENGTH = len("2026-01-01")


class KmlFormat:
    """One Placemark a position, with all columns as ExtendedData."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write the styles, and one Placemark for each row with a position."""
        xml = _Writer(file)
        with xml.document("kml", {"xmlns": _KML}), xml.element("Document"):
            for name, colour in _STYLES.items():
                with xml.element("Style", {"id": name}):
                    with xml.element("IconStyle"):
                        xml.leaf("color", colour)
                    # Without it, viewers show each column as HTML.
                    with xml.element("BalloonStyle"):
                        xml.leaf("text", "$[description]")
            for row in rows:
                if (place := degrees(row)) is not None:
                    with xml.element("Placemark"):
                        _write_placemark(xml, row, place)


class GpxFormat:
    """One waypoint a position; its `src` says whether it was measured or inferred."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        xml = _Writer(file)
        with xml.document("gpx", {"version": "1.1", "creator": "geotag", "xmlns": _GPX}):
            for row in rows:
                if (place := degrees(row)) is not None:
                    latitude, longitude = place
                    longitude = -180.0 if longitude == 180 else longitude  # which GPX excludes
                    where = {"lat": f"{latitude:.7f}", "lon": f"{longitude:.7f}"}
                    with xml.element("wpt", where):
                        _write_waypoint(xml, row)


class _Writer:
    """Writes XML as it comes: escaped, without control characters, one element a line."""

    def __init__(self, file: BinaryIO) -> None:
        self._xml = XMLGenerator(file, "utf-8")

    @contextmanager
    def document(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        self._xml.startDocument()
        with self.element(name, attributes):
            yield
        self._xml.endDocument()

    @contextmanager
    def element(self, name: str, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        self._xml.startElement(name, AttributesImpl(dict(attributes or {})))
        self._xml.ignorableWhitespace("\n")
        yield
        self._xml.endElement(name)
        self._xml.ignorableWhitespace("\n")

    def leaf(self, name: str, text: str) -> None:
        """An element of text; none where there is no text."""
        if text:
            self._xml.startElement(name, AttributesImpl({}))
            self._xml.characters(_CONTROL.sub("", text))
            self._xml.endElement(name)
            self._xml.ignorableWhitespace("\n")


def _write_placemark(xml: _Writer, row: Outcome, place: tuple[float, float]) -> None:
    xml.leaf("name", _file_name(row))
    xml.leaf("description", escape(_description(row), quote=False))  # viewers take it for HTML
    if moment := _universal_time(row) or _time(row.taken_at):
        with xml.element("TimeStamp"):
            xml.leaf("when", _format_time(moment))
    style = row.position_source if row.position_source in _STYLES else "unknown"
    xml.leaf("styleUrl", f"#{style}")
    with xml.element("ExtendedData"):
        for name, text in _columns(row).items():
            with xml.element("Data", {"name": name}):
                xml.leaf("value", text)
    latitude, longitude = place
    height = "" if finite(row.altitude) is None else f",{row.altitude:.2f}"
    with xml.element("Point"):
        xml.leaf("coordinates", f"{longitude:.7f},{latitude:.7f}{height}")


def _write_waypoint(xml: _Writer, row: Outcome) -> None:
    if finite(row.altitude) is not None:
        xml.leaf("ele", f"{row.altitude:.2f}")
    if moment := _universal_time(row):  # GPX has no other time
        xml.leaf("time", _format_time(moment))
    xml.leaf("name", _file_name(row))
    xml.leaf("desc", _description(row))
    xml.leaf("src", row.position_source)
    xml.leaf("type", row.status.value)


def _file_name(row: Outcome) -> str:
    return row.path.rstrip("/").rpartition("/")[2]


def _description(row: Outcome) -> str:
    """The row in a few lines of text; the position's line says what it rests on."""
    position = f"position: {row.position_source or 'of unknown source'}"
    if row.method:
        position += f" from {row.method}"
    if finite(row.radius_m) is not None:
        position += f", within {row.radius_m:.0f} m"
    if finite(row.confidence) is not None:
        position += f", confidence {row.confidence:.3f}"
    names = dict.fromkeys((row.landmark, row.place, row.city, row.region, row.country))
    where = ", ".join(name for name in names if name)
    lines = (row.path, position, where, row.taken_at, row.camera)
    return "\n".join(line for line in lines if line)


def _columns(row: Outcome) -> dict[str, str]:
    """The text of each column that is not empty."""
    values: dict[str, Any] = row._asdict() | {
        "status": row.status.value,
        "top_k": format_top_k(row.top_k),
        "schema_version": SCHEMA_VERSION,
    }
    values |= {name: finite(v) for name, v in values.items() if isinstance(v, float)}
    texts = {name: "" if value is None else str(value) for name, value in values.items()}
    return {name: text for name, text in texts.items() if text}


def _time(text: str) -> datetime | None:
    """A moment as a cell has it; none where that is only a date, or nothing of the kind."""
    try:
        return datetime.fromisoformat(text) if len(text) > _DATE_LENGTH else None
    except ValueError:
        return None


def _universal_time(row: Outcome) -> datetime | None:
    """When a photo was taken, in UTC, where that is known."""
    moment = _time(row.utc) or _time(row.taken_at)
    try:
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None
    except OverflowError:  # before the year 1, or after 9999
        return None


def _format_time(moment: datetime) -> str:
    """A local time stays without a zone."""
    return moment.replace(tzinfo=None).isoformat() + ("Z" if moment.tzinfo == UTC else "")
