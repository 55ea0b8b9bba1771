"""What diagrams show, as far as pixels can tell."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geotag.recognition.drawing import WIDTH
from training.reports import plots

pytestmark = pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")
BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_curves_of_a_single_epoch_can_be_seen(tmp_path: Path) -> None:
    curves = {"training": ([1], [2.3]), "validation": ([1], [2.2])}
    plots.plot_curves(curves, "Loss", ("epoch", "loss"), tmp_path / "loss.png")
    drawn = pixels(tmp_path / "loss.png")
    middle = drawn[:, drawn.shape[1] * 2 // 5 : drawn.shape[1] * 3 // 5]  # beside the legend
    for colour in (BLUE, ORANGE):
        assert (middle == colour).all(axis=2).sum() > 20


def test_a_contact_sheet_shows_whole_names(tmp_path: Path) -> None:
    photo = np.full((20, 20, 3), 200, np.uint8)

    def ink(text: str) -> int:
        plots.contact_sheet([(photo, text)], tmp_path / "sheet.png")
        below = pixels(tmp_path / "sheet.png")[114:]
        return int((255 - below.astype(int)).sum())

    name = "immaculate_conception_church_panjim_"
    assert ink(name * 2) == pytest.approx(2 * ink(name), rel=0.02)
    assert ink("é") != ink("ї") != ink("Ω")  # not boxes


def test_letters_can_be_read_at_the_width_of_a_phone(tmp_path: Path) -> None:
    """390 pixels: a letter of 7 points is then at least 9 high, and all diagrams are as wide."""
    plots.plot_bars({"a": 1, "b": 2}, "Bars", "photos", tmp_path / "bars.png")
    plots.plot_curves({"a": ([1, 2], [2, 1])}, "Lines", ("x", "y"), tmp_path / "lines.png")
    widths = {Image.open(tmp_path / f"{name}.png").width for name in ("bars", "lines")}
    assert widths == {200 * WIDTH}
    assert 7 / 72 * 390 / WIDTH > 9
