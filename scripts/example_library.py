"""Draws a small photo library: a journey along the Nile with a phone and a camera without GPS.

python scripts/example_library.py FOLDER

Nobody's photos: to try geotag with, and for the pictures of it in the manual.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import piexif
from PIL import Image, ImageFilter

from geotag.metadata.positions import degrees_to_rationals
from geotag.web.example import NAME, draw_example

SIZE = (720, 480)
PHONE, CAMERA = ("Apple", "iPhone 15"), ("Canon", "Canon EOS 80D")
OFFSET = timedelta(hours=2)  # of Egypt's winter time from UTC
CAMERA_AHEAD = timedelta(minutes=7)  # of the right time
STOPS = (
    # day, latitude, longitude, photos
    (0, 30.0459, 31.2243, 10),
    (1, 29.9773, 31.1325, 14),
    (2, 25.7188, 32.6573, 14),
    (3, 25.7402, 32.6014, 10),
    (4, 24.0889, 32.8998, 12),
    (5, 22.3372, 31.6258, 10),
)
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Shot(NamedTuple):
    """A photo to be drawn."""

    name: str
    taken: datetime
    position: tuple[float, float] | None
    camera: tuple[str, str]


def plan_shots() -> Iterator[Shot]:
    """Phone and camera in turns, some minutes apart, all day long."""
    random = np.random.default_rng(4)
    for day, latitude, longitude, count in STOPS:
        time = datetime(2025, 2, 10, 8, 30) + timedelta(days=day)
        for number in range(count):
            time += timedelta(minutes=float(random.uniform(4, 55)))
            north, east = random.normal(0, 0.004, 2)
            name = f"{time:%Y%m%d}-{number:02}"
            where = (latitude + float(north), longitude + float(east))
            yield Shot(f"phone/{name}.jpg", time, where, PHONE)
            later = time + timedelta(seconds=float(random.uniform(-60, 60))) + CAMERA_AHEAD
            yield Shot(f"camera/{name}.jpg", later, None, CAMERA)


def draw_scene(hour: float, seed: int) -> Image.Image:
    """Hills or dunes under the sky of that hour."""
    random = np.random.default_rng(seed)
    width, height = SIZE
    low = abs(hour - 13) / 8  # how low the sun is, 0 to 1
    top = _mixed((64, 130, 200), (58, 60, 110), low)
    horizon = _mixed((206, 226, 236), (244, 164, 96), low)
    rows = np.linspace(0, 1, height)[:, None, None]
    pixels = np.broadcast_to(top * (1 - rows) + horizon * rows, (height, width, 3)).copy()
    near = _mixed((206, 164, 108), (96, 62, 58), low) + random.normal(0, 14, 3)
    steps = random.integers(3, 6)
    for step in range(steps):
        share = (step + 1) / steps
        ridge = height * (0.45 + 0.45 * share) - _ridge(random, width) * height * 0.16
        below = np.arange(height)[:, None] > ridge[None, :]
        pixels[below] = horizon * (1 - share) + near * share
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.8)), np.float64)
    grain = random.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8))


def _mixed(one: tuple[int, int, int], other: tuple[int, int, int], share: float) -> Floats:
    return np.asarray(one, np.float64) * (1 - share) + np.asarray(other, np.float64) * share


def _ridge(random: np.random.Generator, width: int) -> Floats:
    """Heights of a ridge, within -1 to 1: a few waves."""
    at = np.linspace(0, 2 * np.pi, width)
    waves = (random.uniform(0.5, 1) / n * np.sin(n * at + random.uniform(0, 7)) for n in (1, 2, 5))
    total: Floats = np.sum(list(waves), axis=0) / 1.7
    return total


def write_shot(shot: Shot, folder: Path, seed: int) -> None:
    """The drawn photo with the Exif of its camera."""
    exif: dict[int, object] = {piexif.ExifIFD.DateTimeOriginal: f"{shot.taken:%Y:%m:%d %H:%M:%S}"}
    gps: dict[int, object] = {}
    if shot.position:
        latitude, longitude = shot.position
        utc = shot.taken - OFFSET
        exif[piexif.ExifIFD.OffsetTimeOriginal] = "+02:00"
        gps = {
            piexif.GPSIFD.GPSLatitudeRef: b"N",
            piexif.GPSIFD.GPSLatitude: degrees_to_rationals(latitude),
            piexif.GPSIFD.GPSLongitudeRef: b"E",
            piexif.GPSIFD.GPSLongitude: degrees_to_rationals(longitude),
            piexif.GPSIFD.GPSDateStamp: f"{utc:%Y:%m:%d}",
            piexif.GPSIFD.GPSTimeStamp: ((utc.hour, 1), (utc.minute, 1), (utc.second, 1)),
        }
    make, model = shot.camera
    zeroth = {piexif.ImageIFD.Make: make, piexif.ImageIFD.Model: model}
    data = piexif.dump({"0th": zeroth, "Exif": exif, "GPS": gps})
    file = io.BytesIO()
    hour = shot.taken.hour + shot.taken.minute / 60
    draw_scene(hour, seed).save(file, "JPEG", quality=86, exif=data)
    path = folder / shot.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """The same files each time."""
    for number, shot in enumerate(plan_shots()):
        write_shot(shot, folder, number)
    (folder / NAME).write_bytes(draw_example())
    click.echo(f"{folder}: {number + 2} photos")


if __name__ == "__main__":
    main()
