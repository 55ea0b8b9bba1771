"""What kind of picture a file is, by its metadata and its name. Pure."""

from __future__ import annotations

import functools
import re
from datetime import datetime

from geotag.places.sighting import TAKEN_HERE, Kind
from geotag.records import Capture

_SCREENSHOT = re.compile(
    r"screen[ _-]?(shot|capture)|bildschirmfoto|captura de pantalla|capture d.?.cran"
)
# WhatsApp, Signal, Telegram, Facebook and Viber, as they name what they receive.
_RECEIVED = re.compile(
    r"img-\d{8}-wa\d+|signal-\d{4}-|photo_\d{4}-\d\d-\d\d_\d\d-|received_\d+|fb_img_\d+|"
    r"viber_image|telegram|whatsapp"
)
_SCANNER = re.compile(
    r"\bscan|vuescan|silverfast|canoscan|epson|plustek|scansnap|opticfilm|perfection|officejet"
)
_PHONES = re.compile(
    r"apple|google|huawei|xiaomi|redmi|poco|oneplus|oppo|vivo|realme|honor|motorola|lge?\b|htc|"
    r"hmd|nokia|fairphone|asus|nothing|blackberry|zte|tecno|infinix|wiko"
)
_SAMSUNG_PHONE = re.compile(r"sm-|gt-|sgh|sch|sph|shv|galaxy")
_SONY_PHONE = re.compile(r"xq-|so-?\d|xperia|[c-h]\d{4}$")
_EDITOR = re.compile(
    r"photoshop|lightroom|gimp|darktable|rawtherapee|snapseed|capture one|affinity"
)
# What clocks show that were never set, and what programs write for no date.
_OLDEST_YEAR = 1990


def kind_of(capture: Capture, name: str, time: datetime | None) -> Kind:
    """The kind of a picture; where nothing tells that a camera took it, it is a download."""
    name = name.lower()
    kind = _made_by(capture.make.lower(), capture.model.lower(), capture.software.lower())
    if kind is Kind.SCREENSHOT or _SCREENSHOT.search(name):
        return Kind.SCREENSHOT
    if _RECEIVED.search(name):
        return Kind.RECEIVED
    if kind in TAKEN_HERE and time is not None and _is_default(time):
        return Kind.DEFAULT_DATE
    return kind


@functools.lru_cache(maxsize=1024)
def _made_by(make: str, model: str, software: str) -> Kind:
    """The kind by the device and the program alone."""
    if _SCREENSHOT.search(software):
        return Kind.SCREENSHOT
    if any(_SCANNER.search(text) for text in (make, model, software)):
        return Kind.SCAN
    if not make and not model:
        return Kind.DOWNLOAD
    if _is_phone(make, model):
        return Kind.PHONE
    return Kind.EDITED if _EDITOR.search(software) else Kind.CAMERA


def _is_phone(make: str, model: str) -> bool:
    if "samsung" in make:
        return _SAMSUNG_PHONE.search(model) is not None
    if "sony" in make:
        return _SONY_PHONE.match(model) is not None
    return _PHONES.search(make) is not None


def _is_default(time: datetime) -> bool:
    is_midnight = time.hour == time.minute == 0
    return time.year < _OLDEST_YEAR or (time.month == time.day == 1 and is_midnight)
