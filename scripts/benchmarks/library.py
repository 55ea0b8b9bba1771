"""Libraries of camera-like JPEGs: scenes with a sensor's noise, Exif structures, thumbnails."""

from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import piexif
from PIL import Image, ImageDraw, ImageOps

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEGAPIXELS_12 = (4032, 3024)
PIXELS_800 = (800, 600)
_A_FOLDER = 1000
_CAMERAS = (
    ("Apple", "iPhone 14", "17.4.1", b"Apple iOS\0\0\1MM", 9000),
    ("samsung", "SM-G991B", "G991BXXU5CVF3", b"\7\0\1\0\7\0", 1500),
    ("Panasonic", "DMC-TZ80", "Ver.1.0", b"BENCHMARK\0\0\0", 12000),
    ("SONY", "ILCE-6000", "ILCE-6000 v3.20", b"BENCHMARK\0\0\0", 30000),
)


class Kind(NamedTuple):
    """What photos to make."""

    size: tuple[int, int] = MEGAPIXELS_12
    located: bool = False
    thumbnail: bool = True
    quality: int = 93


LOCATED = Kind((160, 120), located=True)


def make_library(
    folder: Path,
    count: int,
    kind: Kind,
    pictures: Sequence[Path] = (),
    distinct: int = 24,
    seed: int = 0,
) -> list[Path]:
    """Fill `folder` with `count` photos of which `distinct` differ in their pixels.

    The pixels come from `pictures` (enlarged, with noise) or are drawn. Every file has an Exif
    block of its own. A folder that already holds such a library is used as it is.
    """
    wanted = f"{count} {kind} {distinct} {seed} {[str(p) for p in pictures]}"
    mark = folder / ".made"
    paths = [folder / f"{at // 1000:03}" / f"IMG_{at:06}.jpg" for at in range(count)]
    if mark.exists() and mark.read_text() == wanted:
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    distinct = min(distinct, count)
    scans = [_picture(kind, pictures, seed * 7919 + at) for at in range(distinct)]
    for at, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        jpeg, thumbnail = scans[at % distinct]
        exif = exif_block(random.Random(seed * 104729 + at), kind, thumbnail)
        path.write_bytes(jpeg[:2] + _segment(exif) + jpeg[2:])
    mark.write_text(wanted)
    return paths


def make_mixed_library(
    folder: Path,
    count: int,
    kind: Kind,
    landmarks: Path | None,
    others: Path | None,
    distinct: int,
) -> list[Path]:
    """A library of which every twentieth photo shows a landmark, if there are pictures of such.

    `landmarks` and `others` are folders of scenes; where there is none, they are drawn.
    """
    few = count // 20 if landmarks else 0
    paths = []
    for name, share, pictures, seed in (
        ("landmarks", few, landmarks, 1),
        ("others", count - few, others, 2),
    ):
        if share:
            scenes = pictures_in(pictures, share)
            paths += make_library(folder / name, share, kind, scenes, distinct, seed)
    return paths


def link_library(folder: Path, count: int, kind: Kind) -> Path:
    """A folder of so many photos that are links to a few files, a thousand in each subfolder."""
    originals = make_library(folder / "seeds", 10, kind)
    library = folder / "photos"
    for at in range(0, count, _A_FOLDER):
        below = library / f"{at // _A_FOLDER:05d}"
        below.mkdir(parents=True)
        copies = [shutil.copy(original, below / original.name) for original in originals]
        for number in range(at, min(at + _A_FOLDER, count)):
            os.link(copies[number % len(copies)], below / f"IMG_{number:08d}.jpg")
        for copy in copies:
            os.unlink(copy)
    return library


def _segment(exif: bytes) -> bytes:
    return b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif


def _picture(kind: Kind, pictures: Sequence[Path], seed: int) -> tuple[bytes, bytes]:
    """A JPEG without metadata, and its thumbnail as another."""
    generator = np.random.default_rng(seed)
    if pictures:
        with Image.open(pictures[seed % len(pictures)]) as image:
            # As cameras do: the sensor's shape is fixed, the scene fills it.
            scene = ImageOps.fit(image.convert("RGB"), kind.size, Image.Resampling.BICUBIC)
    else:
        scene = draw_scene(kind.size, seed)
    noisy = add_noise(np.asarray(scene), generator)
    photo = Image.fromarray(noisy)
    return _jpeg(photo, kind.quality), _jpeg(photo.resize((160, 120), reducing_gap=3.0), 80)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=2)
    return file.getvalue()


def draw_scene(size: tuple[int, int], seed: int) -> Image.Image:
    """Sky, ground, houses with windows and leaves: detail at every scale."""
    rng = random.Random(seed)
    width, height = size
    sky = Image.linear_gradient("L").resize(size)
    scene = ImageOps.colorize(sky, _colour(rng, 120, 255), _colour(rng, 60, 200))
    draw = ImageDraw.Draw(scene)
    for _ in range(rng.randint(4, 12)):
        left, top = rng.randrange(width), rng.randrange(height // 4, height)
        right, bottom = left + rng.randint(width // 20, width // 3), height
        draw.rectangle((left, top, right, bottom), fill=_colour(rng, 30, 220))
        step = max(4, width // rng.randint(40, 160))
        pane = _colour(rng, 20, 250)
        for x in range(left + step // 2, right - step // 2, step):
            for y in range(top + step // 2, bottom, step):
                draw.rectangle((x, y, x + step // 2, y + step // 2), fill=pane)
    for _ in range(300):
        x, y = rng.randrange(width), rng.randrange(height // 2, height)
        right, bottom = x + rng.randint(2, width // 60), y + rng.randint(2, width // 60)
        draw.ellipse((x, y, right, bottom), fill=_colour(rng, 10, 180))
    return scene


def _colour(rng: random.Random, low: int, high: int) -> tuple[int, int, int]:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def add_noise(pixels: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """A sensor's noise (standard deviation 3), from one tile that is laid at random offsets."""
    tile = np.rint(generator.normal(0, 3, (512, 512, 3))).astype(np.int16)
    height, width = pixels.shape[:2]
    rows, columns = -(-height // 512), -(-width // 512)
    noise = np.tile(tile, (rows, columns, 1))
    noisy: NDArray[np.int16] = np.clip(pixels + noise[:height, :width], 0, 255)
    return noisy.astype(np.uint8)


def exif_block(rng: random.Random, kind: Kind, thumbnail: bytes) -> bytes:
    """What a camera writes: IFD0, Exif with a maker note, GPS, interoperability, thumbnail."""
    make, model, software, note, note_size = rng.choice(_CAMERAS)
    taken = f"20{rng.randint(10, 24)}:{rng.randint(1, 12):02}:{rng.randint(1, 28):02} 12:30:45"
    zeroth = {
        piexif.ImageIFD.Make: make,
        piexif.ImageIFD.Model: model,
        piexif.ImageIFD.Orientation: 1,
        piexif.ImageIFD.XResolution: (72, 1),
        piexif.ImageIFD.YResolution: (72, 1),
        piexif.ImageIFD.ResolutionUnit: 2,
        piexif.ImageIFD.Software: software,
        piexif.ImageIFD.DateTime: taken,
        piexif.ImageIFD.YCbCrPositioning: 1,
    }
    exif = {
        piexif.ExifIFD.ExposureTime: (1, rng.randint(30, 2000)),
        piexif.ExifIFD.FNumber: (18, 10),
        piexif.ExifIFD.ExposureProgram: 2,
        piexif.ExifIFD.ISOSpeedRatings: rng.randint(50, 1600),
        piexif.ExifIFD.ExifVersion: b"0232",
        piexif.ExifIFD.DateTimeOriginal: taken,
        piexif.ExifIFD.DateTimeDigitized: taken,
        piexif.ExifIFD.OffsetTimeOriginal: "+02:00",
        piexif.ExifIFD.ComponentsConfiguration: b"\1\2\3\0",
        piexif.ExifIFD.ShutterSpeedValue: (6643856, 1000000),
        piexif.ExifIFD.ApertureValue: (169, 100),
        piexif.ExifIFD.BrightnessValue: (512, 100),
        piexif.ExifIFD.ExposureBiasValue: (0, 1),
        piexif.ExifIFD.MeteringMode: 5,
        piexif.ExifIFD.Flash: 16,
        piexif.ExifIFD.FocalLength: (57, 10),
        piexif.ExifIFD.SubjectArea: (2013, 1511, 2217, 1330),
        piexif.ExifIFD.MakerNote: note + rng.randbytes(note_size),
        piexif.ExifIFD.SubSecTimeOriginal: "123",
        piexif.ExifIFD.FlashpixVersion: b"0100",
        piexif.ExifIFD.ColorSpace: 1,
        piexif.ExifIFD.PixelXDimension: kind.size[0],
        piexif.ExifIFD.PixelYDimension: kind.size[1],
        piexif.ExifIFD.SensingMethod: 2,
        piexif.ExifIFD.SceneType: b"\1",
        piexif.ExifIFD.ExposureMode: 0,
        piexif.ExifIFD.WhiteBalance: 0,
        piexif.ExifIFD.FocalLengthIn35mmFilm: 26,
        piexif.ExifIFD.SceneCaptureType: 0,
        piexif.ExifIFD.LensMake: make,
        piexif.ExifIFD.LensModel: f"{model} back camera 5.7mm f/1.8",
    }
    directories = {
        "0th": zeroth,
        "Exif": exif,
        "GPS": _gps(rng) if kind.located else {},
        "Interop": {piexif.InteropIFD.InteroperabilityIndex: "R98"},
    }
    if kind.thumbnail:
        directories["1st"] = {
            piexif.ImageIFD.Compression: 6,
            piexif.ImageIFD.XResolution: (72, 1),
            piexif.ImageIFD.YResolution: (72, 1),
            piexif.ImageIFD.ResolutionUnit: 2,
        }
        directories["thumbnail"] = thumbnail
    block: bytes = piexif.dump(directories)
    return block


def _gps(rng: random.Random) -> dict[int, object]:
    return {
        piexif.GPSIFD.GPSVersionID: (2, 3, 0, 0),
        piexif.GPSIFD.GPSLatitudeRef: rng.choice("NS"),
        piexif.GPSIFD.GPSLatitude: _degrees(rng, 80),
        piexif.GPSIFD.GPSLongitudeRef: rng.choice("EW"),
        piexif.GPSIFD.GPSLongitude: _degrees(rng, 170),
        piexif.GPSIFD.GPSAltitudeRef: 0,
        piexif.GPSIFD.GPSAltitude: (rng.randrange(300000), 100),
        piexif.GPSIFD.GPSTimeStamp: ((10, 1), (30, 1), (45, 1)),
        piexif.GPSIFD.GPSSpeedRef: "K",
        piexif.GPSIFD.GPSSpeed: (rng.randrange(500), 100),
        piexif.GPSIFD.GPSImgDirectionRef: "T",
        piexif.GPSIFD.GPSImgDirection: (rng.randrange(36000), 100),
        piexif.GPSIFD.GPSDateStamp: "2023:05:05",
        piexif.GPSIFD.GPSHPositioningError: (rng.randint(3, 65), 1),
    }


def _degrees(rng: random.Random, limit: int) -> tuple[tuple[int, int], ...]:
    return (rng.randrange(limit), 1), (rng.randrange(60), 1), (rng.randrange(6000), 100)


def pictures_in(folder: Path | None, limit: int = 200) -> list[Path]:
    """Pictures below a folder, evenly chosen; none for None."""
    found = sorted(folder.rglob("*.jpg")) if folder is not None else []
    return found[:: max(1, len(found) // limit)]
