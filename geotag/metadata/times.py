"""Times as cameras and programs spell them, to ISO 8601. Pure."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import lru_cache

# Exif asks for "2008:10:22 16:28:39", XMP for "2008-10-22T16:28:39.25+02:00"; both are met with
# other separators, with single digits, without seconds, with an American clock or its like in
# Chinese, Japanese and Korean, and as ISO 8601 without separators.
_TIME = re.compile(
    r"\s*(\d{4})\s*[:\-/.年]\s*(\d{1,2})\s*[:\-/.月]\s*(\d{1,2})日?(?:\s*[T_,\-]\s*|\s+)"
    r"(?:(上午|午前|오전|下午|午後|오후)\s*)?"
    r"(\d{1,2})\s*([:.;h_\-])\s*(\d{1,2})(?:(?:\6|(?<=\d)m)\s*(\d{1,2})s?(?:[.,](\d+))?)?"
    r"\s*(?:([AaPp])\.?[Mm]\.?)?\s*(?:UTC(?=[+-]))?(Z|[+-]\d{1,2}:?\d{2})?"
)
_COMPACT = re.compile(r"\s*(\d{4})(\d\d)(\d\d)[T ]?(\d\d)(\d\d)(\d\d)(?!\d)(.*)", re.DOTALL)
_AFTER_NOON = frozenset(("下午", "午後", "오후", "P", "p"))
_DATE = re.compile(r"\s*(\d{4})\s*[:\-/.]\s*(\d{1,2})\s*[:\-/.]\s*(\d{1,2})")
_OFFSET = re.compile(r"\s*(Z|[+-]\d{1,2}:?\d{2})\s*")
_LONGEST_OFFSET = 14
_DAY = 86_400


def format_time(text: str, offset: str = "", fraction: str = "") -> str:
    """A time in ISO 8601 with what is known of its second's fraction and its offset, or "".

    `offset` and `fraction` are what stands in fields of their own. "24:00" ends a day.
    """
    if len(text) == 19 and text[4] == text[7] == text[13] == text[16] == ":":  # as it should be
        with suppress(ValueError):
            moment = f"{text[:4]}-{text[5:7]}-{text[8:10]}T{text[11:]}"
            datetime.fromisoformat(moment)
            return moment + _format_fraction(fraction) + format_offset(offset)
    spelled = _TIME.match(_COMPACT.sub(r"\1-\2-\3T\4:\5:\6\7", text))
    if spelled is None:
        return ""
    year, month, day, sooner, hour, _, minute, second, digits, later, zone = spelled.groups()
    found = _moment(year, month, day, hour, minute, second, sooner or later)
    if found is None:
        return ""
    return found.isoformat() + _format_fraction(digits or fraction) + format_offset(zone or offset)


def _format_fraction(digits: str) -> str:
    digits = digits.strip()
    return f".{digits[:9]}" if digits.isascii() and digits.isdigit() else ""


def _moment(
    year: str, month: str, day: str, hour: str, minute: str, second: str | None, half: str | None
) -> datetime | None:
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if half and 1 <= hours <= 12:
        hours = hours % 12 + (12 if half in _AFTER_NOON else 0)
    elif half and half not in _AFTER_NOON:
        return None
    try:
        if hours < 24 and seconds < 60:
            return datetime(int(year), int(month), int(day), hours, minutes, seconds)
        if (hours, minutes, seconds) > (24, 0, 0) or minutes > 59 or seconds > 60:
            return None
        start = datetime(int(year), int(month), int(day))
        return start + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def format_offset(text: str) -> str:
    """An offset from UTC as "+02:00", or "" when it is none."""
    match = _OFFSET.fullmatch(text) if text else None
    if match is None:
        return ""
    if match[1] == "Z":
        return "+00:00"
    digits = match[1][1:].replace(":", "").zfill(4)
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > _LONGEST_OFFSET or minutes > 59:
        return ""
    return f"{match[1][0]}{hours:02}:{minutes:02}"


def format_gps_time(day: str, parts: tuple[float, ...]) -> str:
    """A satellite receiver's date, hour, minute and second in ISO 8601, or ""."""
    day = _format_day(day)
    if not day or len(parts) != 3 or min(parts) < 0 or max(parts) >= 60:
        return ""
    exact = round(parts[0] * 3600 + parts[1] * 60 + parts[2], 3)
    seconds, thousandths = int(exact), round(exact % 1 * 1000)
    if seconds >= _DAY:
        return ""
    fraction = f".{thousandths:03}" if thousandths else ""
    return f"{day}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}+00:00"


@lru_cache(maxsize=256)
def _format_day(text: str) -> str:
    spelled = _DATE.match(text)
    try:
        return date(*map(int, spelled.groups())).isoformat() if spelled is not None else ""
    except ValueError:
        return ""


def without_fraction(time: str) -> str:
    """A time of these without the fraction of its second."""
    moment, _, rest = time.partition(".")
    return moment + rest.lstrip("0123456789")
