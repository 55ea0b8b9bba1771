"""What the diagrams of an evaluation say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from geotag.model.spec import Threshold
from training.reports import diagrams, metrics
from training.reports.diagrams import NO_LANDMARK, Mistake, Tags

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG = Path("unwritten/diagram.png")
TAGS = Tags(np.array([0.9, 0.8, 0.4, 0.2]), np.array([True, True, False, True]), 5)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Figure]:
    matplotlib = pytest.importorskip("matplotlib.figure")
    drawn: list[Figure] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matplotlib.Figure, "savefig", lambda self, *a, **k: drawn.append(self))
    return drawn


def _texts(figure: Figure, at: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[at].texts]


def test_a_reliability_diagram_tells_the_photos_of_each_bar(figures: list[Figure]) -> None:
    table = metrics.reliability(np.array([0.1, 0.9, 0.9]), np.array([False, True, True]), 5)
    diagrams.plot_reliability(table, PNG)
    assert _texts(figures[0], 1) == ["1", "", "", "", "2"]
    assert [bar.get_height() for bar in figures[0].axes[0].patches] == [0, 0, 0, 0, 1]


def test_thresholds_are_marked_where_they_lie(figures: list[Figure]) -> None:
    thresholds = (Threshold(0.9, 0.7), Threshold(0.5, 0.3), Threshold(0.999, 0.99995))
    curve = metrics.risk_coverage(TAGS.confidence, TAGS.correct)
    diagrams.plot_risk_coverage(curve, TAGS, thresholds, PNG)
    diagrams.plot_precision_recall(TAGS, thresholds, PNG)
    expected = ([(0.5, 0.0), (0.75, 1 / 3)], [(0.4, 1.0), (0.4, 2 / 3)])
    for figure, points in zip(figures, expected, strict=True):
        axes = figure.axes[0]
        marks = [line for line in axes.lines if len(line.get_xydata()) == 1]
        assert np.allclose([mark.get_xydata()[0] for mark in marks], points)
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert legend == ["0.9: from confidence 0.7", "0.5: from confidence 0.3"]
        assert len({mark.get_marker() for mark in marks}) == 2


def test_mistakes_are_listed_from_the_most_frequent(figures: list[Figure]) -> None:
    confusion = np.array([[5, 1, 0], [3, 0, 0], [0, 1, 9]])
    mistakes = diagrams.find_mistakes(confusion, ("A$", "B" * 40, NO_LANDMARK))
    assert mistakes == [
        Mistake("B" * 40, "A$", 3, 3),
        Mistake("A$", "B" * 40, 1, 6),
        Mistake(NO_LANDMARK, "B" * 40, 1, 10),
    ]
    diagrams.plot_mistakes(mistakes, PNG)
    assert "3 of 3" in _texts(figures[0])
    diagrams.plot_mistakes([], PNG)
    assert _texts(figures[1]) == ["none"]


def test_countries_are_few_and_none_of_the_photos_is_lost(figures: list[Figure]) -> None:
    countries = {str(n): f"Country {n}" for n in range(30)} | {NO_LANDMARK: NO_LANDMARK}
    mistakes = [Mistake(str(n), str((n + 1) % 30), n + 1, 99) for n in range(30)]
    mistakes += [Mistake("7", NO_LANDMARK, 4, 99), Mistake("not in the table", "7", 2, 9)]
    diagrams.plot_countries(mistakes, countries, PNG)
    axes = figures[0].axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 12 and names[-2:] == ["other countries", NO_LANDMARK]
    assert "Country 29" in names and "Country 1" not in names
    assert axes.images[0].get_array().sum() == sum(mistake.times for mistake in mistakes)
    assert sum(int(text) for text in _texts(figures[0])) == axes.images[0].get_array().sum()
