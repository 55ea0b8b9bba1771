"""Builds the smallest raw file that LibRaw reads: an Adobe DNG with a JPEG preview."""

from __future__ import annotations

import io
import struct

from PIL import Image

Value = tuple[int, int, bytes]
_RAW_WIDTH, _RAW_HEIGHT = 256, 192


def _short(*values: int) -> Value:
    return 3, len(values), struct.pack(f"<{len(values)}H", *values)


def _long(*values: int) -> Value:
    return 4, len(values), struct.pack(f"<{len(values)}I", *values)


def _bytes(*values: int) -> Value:
    return 1, len(values), bytes(values)


def _text(text: str) -> Value:
    return 2, len(text) + 1, text.encode() + b"\0"


def _rationals(*values: int) -> Value:
    return 10, len(values), b"".join(struct.pack("<ii", value, 1) for value in values)


def _directory(entries: dict[int, Value], at: int) -> bytes:
    """A TIFF directory that lies at `at`, with the data it points to behind it."""
    data_at = at + 2 + 12 * len(entries) + 4
    table, data = struct.pack("<H", len(entries)), b""
    for tag, (kind, count, value) in sorted(entries.items()):
        if len(value) <= 4:
            table += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        else:
            table += struct.pack("<HHII", tag, kind, count, data_at + len(data))
            data += value + bytes(len(value) & 1)
    return table + bytes(4) + data


def dng_bytes(preview: Image.Image, exif_entries: dict[int, Value] | None = None) -> bytes:
    """A DNG of flat grey sensor data with the given preview."""
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG")
    jpeg = buffer.getvalue() + bytes(len(buffer.getvalue()) & 1)
    sensor = struct.pack("<H", 2000) * (_RAW_WIDTH * _RAW_HEIGHT)
    sensor_at = 8 + len(jpeg)
    main_at = sensor_at + len(sensor)

    def main(sensor_directory_at: int) -> dict[int, Value]:
        return {
            254: _long(1), 256: _long(preview.width), 257: _long(preview.height),
            258: _short(8, 8, 8), 259: _short(7), 262: _short(6), 271: _text("geotag"),
            272: _text("test"), 273: _long(8), 274: _short(1), 277: _short(3),
            278: _long(preview.height), 279: _long(len(jpeg)), 330: _long(sensor_directory_at),
            50706: _bytes(1, 4, 0, 0), 50707: _bytes(1, 1, 0, 0), 50708: _text("geotag test"),
            50721: _rationals(1, 0, 0, 0, 1, 0, 0, 0, 1), 50728: _rationals(1, 1, 1),
            50778: _short(21), **(exif_entries or {}),
        }  # fmt: skip

    sensor_directory = {
        254: _long(0), 256: _long(_RAW_WIDTH), 257: _long(_RAW_HEIGHT), 258: _short(16),
        259: _short(1), 262: _short(32803), 273: _long(sensor_at), 277: _short(1),
        278: _long(_RAW_HEIGHT), 279: _long(len(sensor)), 33421: _short(2, 2),
        33422: _bytes(0, 1, 1, 2),
    }  # fmt: skip
    second_at = main_at + len(_directory(main(0), main_at))
    header = struct.pack("<2sHI", b"II", 42, main_at)
    return (
        header + jpeg + sensor + _directory(main(second_at), main_at)
        + _directory(sensor_directory, second_at)
    )  # fmt: skip
