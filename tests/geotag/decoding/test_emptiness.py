"""Pictures that hold nothing to classify are told from photos, and a scan says so."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from geotag.decoding.emptiness import BLANK, TEXT, TINY, why_empty
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.records import Outcome, Status
from geotag.tables import read_table
from tests.conftest import picture

SIZE = (320, 240)


def _gradient() -> Image.Image:
    across = np.linspace(0, 1, SIZE[0])[None, :, None]
    pixels = np.array((250, 120, 40)) * across + np.array((20, 40, 200)) * (1 - across)
    return Image.fromarray(np.broadcast_to(pixels, (SIZE[1], SIZE[0], 3)).astype(np.uint8))


def _noise() -> Image.Image:
    noise = np.random.default_rng(0).normal(128, 40, (SIZE[1], SIZE[0], 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


def _page(ground: str = "white", ink: str = "black") -> Image.Image:
    page = Image.new("RGB", (600, 800), ground)
    drawn, font = ImageDraw.Draw(page), ImageFont.load_default(24)
    for line in range(20):
        drawn.text((40, 30 + 36 * line), "The terms of this contract are as follows", ink, font)
    return page


def _night() -> Image.Image:
    """A tower with lights in the dark."""
    night = Image.new("RGB", SIZE, (8, 8, 20))
    ImageDraw.Draw(night).rectangle((140, 40, 180, 239), (200, 160, 60))
    return night.filter(ImageFilter.GaussianBlur(3))


def _statue() -> Image.Image:
    """A small one below a clear sky, at the edge of the picture."""
    statue = _gradient()
    ImageDraw.Draw(statue).rectangle((150, 160, 165, 239), "#305030")
    return statue.filter(ImageFilter.GaussianBlur(1))


def _fog() -> Image.Image:
    """A dome that stands out from fog by little."""
    fog = Image.new("RGB", SIZE, (190, 192, 195))
    ImageDraw.Draw(fog).ellipse((80, 60, 240, 260), (150, 150, 152))
    return fog.filter(ImageFilter.GaussianBlur(6))


def _poster() -> Image.Image:
    """A drawing on a plain ground, as maps and logos are."""
    poster = Image.new("RGB", SIZE, "white")
    drawn = ImageDraw.Draw(poster)
    drawn.polygon([(160, 20), (100, 220), (220, 220)], "black")
    for beam in range(6):
        drawn.line((130 - 8 * beam, 110 + 20 * beam, 190 + 8 * beam, 110 + 20 * beam), "grey", 4)
    drawn.line((30, 220, 290, 220), "black", 6)
    return poster


def _horizon() -> Image.Image:
    """Two plain areas."""
    horizon = Image.new("RGB", SIZE, "#e8a050")
    ImageDraw.Draw(horizon).rectangle((0, 150, 319, 239), "#203050")
    return horizon


def _shapes() -> Image.Image:
    """Some plain areas."""
    shapes = Image.new("RGB", SIZE, "#d0e0f0")
    ImageDraw.Draw(shapes).ellipse((60, 80, 140, 160), "#702020")
    ImageDraw.Draw(shapes).rectangle((220, 90, 260, 130), "#e0c040")
    return shapes


def _framed(picture: Image.Image, colour: str = "black") -> Image.Image:
    """The same in a border."""
    return ImageOps.expand(picture, 18, colour)


def _tilted(picture: Image.Image) -> Image.Image:
    """The same, turned a little on a ground of another colour."""
    return picture.rotate(8, expand=True, fillcolor="#406040")


def _dated(picture: Image.Image) -> Image.Image:
    """The same with a date in a corner."""
    font = ImageFont.load_default(14)
    ImageDraw.Draw(picture).text((200, 215), "2019-07-14 16:02", "#ffa028", font)
    return picture


EMPTY = [
    (lambda: Image.new("RGB", SIZE, "white"), BLANK),
    (lambda: Image.new("RGB", SIZE, "black"), BLANK),
    (_gradient, BLANK),
    (_noise, BLANK),
    (lambda: _framed(_gradient()), BLANK),
    (lambda: _tilted(Image.new("RGB", SIZE, "white")), BLANK),
    (_horizon, BLANK),
    (lambda: _framed(_dated(_horizon())), BLANK),
    (lambda: _tilted(_horizon()), BLANK),
    (_shapes, BLANK),
    (lambda: _framed(_shapes()), BLANK),
    (_page, TEXT),
    (lambda: _page("#202020", "#e0e0e0"), TEXT),
]


@pytest.mark.parametrize(("draw", "why"), EMPTY)
def test_what_holds_nothing(draw: Callable[[], Image.Image], why: str) -> None:
    assert why_empty(np.array(draw().resize((256, 256), Image.Resampling.BILINEAR))) == why


@pytest.mark.parametrize(
    "draw", [_night, _fog, _poster, _statue, lambda: picture("taj_mahal", SIZE)]
)
def test_plain_photos_are_kept(draw: Callable[[], Image.Image]) -> None:
    assert not why_empty(np.array(draw().resize((256, 256), Image.Resampling.BILINEAR)), SIZE)


@pytest.mark.parametrize(("size", "why"), [((31, 500), TINY), ((32, 32), ""), ((0, 0), "")])
def test_few_pixels_are_too_few(size: tuple[int, int], why: str) -> None:
    assert why_empty(np.array(picture("taj_mahal", (256, 256))), size) == why


def _scan(folder: Path, model: Path) -> dict[str, Outcome]:
    table = str(folder.parent / "tags.csv")
    scan_library([str(folder)], table, ScanOptions(model=model))
    return {Path(row.path).stem: row for row in read_table(table)}


@pytest.mark.parametrize("again", [False, True])
def test_a_scan_says_why_it_did_not_classify(tmp_path: Path, model_path: Path, again: bool) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, image in {
        "blank": Image.new("RGB", SIZE, "#3366aa"),
        "tiny": picture("taj_mahal", (20, 30)), "photo": picture("taj_mahal", SIZE),
    }.items():  # fmt: skip
        data = io.BytesIO()
        image.save(data, "JPEG", quality=95)
        (folder / f"{name}.jpg").write_bytes(data.getvalue())
    rows = _scan(folder, model_path)
    if again:  # from the catalog
        rows = _scan(folder, model_path)
    assert rows["photo"].status is Status.TAGGED
    for name, why in {"blank": BLANK, "tiny": TINY}.items():
        assert rows[name].status is Status.NO_LANDMARK
        assert rows[name].evidence == f"not classified: {why}"
        assert rows[name].top_k == ()
