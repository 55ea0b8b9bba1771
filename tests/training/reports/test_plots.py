"""What diagrams show, as far as pixels can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.reports import metrics, plots

pytest.importorskip("matplotlib")
BLUE, ORANGE = (31, 119, 180), (255, 127, 14)


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_curves_of_a_single_epoch_can_be_seen(tmp_path: Path) -> None:
    curves = {"training": ([1], [2.3]), "validation": ([1], [2.2])}
    plots.plot_curves(curves, "Loss", ("epoch", "loss"), tmp_path / "loss.png")
    drawn = pixels(tmp_path / "loss.png")
    middle = drawn[:, drawn.shape[1] * 2 // 5 : drawn.shape[1] * 3 // 5]  # beside the legend
    for colour in (BLUE, ORANGE):
        assert (middle == colour).all(axis=2).sum() > 20


def test_the_names_of_few_classes_are_large_enough_to_read(tmp_path: Path) -> None:
    names = [f"HHHHHHHH{n}" for n in range(10)]
    plots.plot_confusion(np.eye(10, dtype=np.int64), names, tmp_path / "confusion.png")
    drawn = pixels(tmp_path / "confusion.png")
    matrix = np.flatnonzero((drawn == (68, 1, 84)).all(axis=2).any(axis=0))[0]  # its first column
    names_alone = drawn[: drawn.shape[0] // 2, matrix - 60 : matrix - 15]
    inked = np.flatnonzero((names_alone < 128).any(axis=(1, 2)))
    first = inked[: np.flatnonzero(np.diff(inked) > 1)[0] + 1]
    assert len(first) >= 9


def test_a_contact_sheet_shows_whole_names(tmp_path: Path) -> None:
    photo = np.full((20, 20, 3), 200, np.uint8)

    def ink(text: str) -> int:
        plots.contact_sheet([(photo, text)], tmp_path / "sheet.png")
        below = pixels(tmp_path / "sheet.png")[114:]
        return int((255 - below.astype(int)).sum())

    name = "immaculate_conception_church_panjim_"
    assert ink(name * 2) == pytest.approx(2 * ink(name), rel=0.02)
    assert ink("é") != ink("ї") != ink("Ω")  # not boxes


def test_a_reliability_diagram_tells_the_photos_of_each_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    table = metrics.reliability(np.array([0.1, 0.9, 0.9]), np.array([False, True, True]), 5)
    plots.plot_reliability(table, tmp_path / "reliability.png")
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert texts == ["1", "", "", "", "2"]
