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
# WhatsApp, Signal, Telegram, Facebook, Viber, WeChat, KakaoTalk, Line and Threema, as they name
# what they receive.
_RECEIVED = re.compile(
    r"img-\d{8}-wa\d+|signal-\d{4}-|photo_\d{4}-\d\d-\d\d_\d\d-|received_\d+|fb_img_\d+|"
    r"viber_image|img-[0-9a-f]{32}-v|mmexport\d{9}|kakaotalk_|s__\d{6}|threema-\d{8}-|"
    r"telegram|whatsapp"
)
# Flickr, Facebook and the agencies, as they name what is downloaded from them.
_DOWNLOADED = re.compile(
    r"\d{8,}_[0-9a-f]{8,}_(?:[a-z]\d?|\dk)\.|\d{6,}_\d{8,}_\d{8,}_[a-z]\.|.*-unsplash\.|pexels-|"
    r"(?:shutterstock|adobestock|depositphotos)_\d|(?:istock|gettyimages)[-_]?(?:photo-)?\d{6}"
)
# The very folders into which programs put such pictures, also with what a system adds to a name.
_FOLDERS = {
    Kind.SCREENSHOT: re.compile(r"(?:\d+_)?screenshots?|bildschirmfotos|captures d.écran"),
    Kind.RECEIVED: re.compile(
        r"(?:whatsapp|telegram|signal|viber|wechat|weixin|line|kakaotalk|threema|messenger)"
        r"(?: images| media| photos)?"
    ),
    Kind.DOWNLOAD: re.compile(r"downloads?|téléchargements|descargas|scaricati"),
    Kind.SCAN: re.compile(r"scans|scanned(?: photos)?"),
}
# Scanners, those of laboratories, and apps that take pictures of prints.
_SCANNER = re.compile(
    r"\bscan|vuescan|silverfast|canoscan|coolscan|epson|plustek|scansnap|opticfilm|perfection|"
    r"officejet|noritsu|pakon|frontier|flextight|camscanner|photoscan|photomyne|office lens"
)
_PHONES = re.compile(
    r"apple|google|huawei|xiaomi|redmi|poco|oneplus|oppo|vivo|realme|honor|motorola|lge?\b|htc|"
    r"hmd|nokia|fairphone|asus|nothing|blackberry|zte|tecno|infinix|wiko|microsoft|meizu|lenovo|"
    r"sony ?ericsson|research in motion|\brim\b|jolla|essential|alcatel|\btcl|doogee|cubot|itel|"
    r"blackview|ulefone|oukitel|umidigi|leeco|lemobile|gigaset|shiftphones|crosscall|bullitt"
)
_SAMSUNG_PHONE = re.compile(r"sm-|gt-|sgh|sch|sph|shv|galaxy|sc-?\d|scv|scg")
_SONY_PHONE = re.compile(r"xq-|so[gv]?-?\d|xperia|[a-j]\d{4}$|[a-j]?\d{3}so$|sgp|[ls]t\d\d")
_EDITOR = re.compile(
    r"photoshop|lightroom|gimp|darktable|rawtherapee|snapseed|capture one|affinity"
)
# What clocks show that were never set, and what programs write for no date.
_OLDEST_YEAR = 1990


def kind_of(capture: Capture, uri: str, time: datetime | None) -> Kind:
    """The kind of a picture by its metadata, its name and its folder; where nothing tells that a
    camera took it, it is a download."""
    folder, _, name = uri.lower().rpartition("/")
    kind = _made_by(capture.make.lower(), capture.model.lower(), capture.software.lower())
    if kind is Kind.SCREENSHOT or _SCREENSHOT.search(name):
        return Kind.SCREENSHOT
    if _RECEIVED.search(name):
        return Kind.RECEIVED
    if _DOWNLOADED.match(name):
        return Kind.DOWNLOAD
    if (kept := _kept_in(folder.rpartition("/")[2])) is not None:
        return kept
    if kind in TAKEN_HERE and time is not None and _is_default(time):
        return Kind.DEFAULT_DATE
    return kind


@functools.lru_cache(maxsize=1024)
def _kept_in(folder: str) -> Kind | None:
    """The kind of the pictures that programs put into a folder of this name."""
    return next((kind for kind, names in _FOLDERS.items() if names.fullmatch(folder)), None)


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
