"""Single pictures: what is seen of them, and why a landmark is seen in them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geotag.decoding.emptiness import BLANK, TINY
from geotag.decoding.isolated import IsolatedDecoder
from geotag.errors import MissingDependencyError, PhotoError, UsageError
from geotag.recognition.drawing import draw_explanation
from geotag.recognition.predictor import Predictor, Upload
from geotag.records import Prediction
from tests.conftest import WritePhoto, jpeg_bytes, picture


@pytest.fixture(scope="module")
def predictor(model_path: Path) -> Predictor:
    return Predictor(model_path)


@pytest.fixture
def half_and_half() -> Image.Image:
    """Stonehenge's colour on the left, the Eiffel Tower's on the right."""
    both = picture("stonehenge", (120, 90))
    both.paste(picture("eiffel_tower", (60, 90)), (60, 0))
    return both


@pytest.mark.parametrize(
    ("size", "orientation", "seen"),
    [((1600, 1200), 1, (800, 600)), ((1600, 1200), 6, (600, 800)), ((90, 120), 1, (90, 120)),
     ((2400, 600), 1, (800, 400)), ((600, 2400), 8, (800, 400))],
)  # fmt: skip
def test_a_view_is_upright_and_in_proportion(
    write_photo: WritePhoto, predictor: Predictor, size: tuple[int, int], orientation: int,
    seen: tuple[int, int],
) -> None:  # fmt: skip
    path = write_photo("a.jpg", "taj_mahal")
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture("taj_mahal", size).save(path, exif=exif)
    assert predictor.view(path).size == seen


def test_a_view_of_heic(tmp_path: Path, predictor: Predictor) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(picture("taj_mahal")).save(tmp_path / "taj.heic")
    assert predictor.view(tmp_path / "taj.heic").size == (120, 90)


def test_the_parts_of_the_landmark_speak_for_it(
    predictor: Predictor, half_and_half: Image.Image
) -> None:
    pytest.importorskip("skimage")
    for name in ("Eiffel Tower", "stonehenge"):
        explained = predictor.explain(half_and_half, name, samples=200)
        assert explained.landmark == name.title()
        found = explained.explanation
        left, right = np.array_split(found.weights[found.parts], 2, axis=1)
        own, other = (right, left) if name == "Eiffel Tower" else (left, right)
        assert own.mean() > other.mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blank", "why"), [(Image.new("RGB", (300, 200), "teal"), BLANK),
                       (picture("taj_mahal", (31, 400)), TINY)],
)  # fmt: skip
def test_a_picture_with_nothing_to_recognise_has_no_landmarks(
    predictor: Predictor, blank: Image.Image, why: str
) -> None:
    stored = io.BytesIO()
    blank.save(stored, "PNG")
    upload = Upload("blank.png", stored.getvalue())
    for found in (predictor.predict(blank), predictor.predict(upload)):
        assert found == Prediction((), 0.0, why)
        assert predictor.top(found) == ()
    assert predictor.read(upload).prediction == Prediction((), 0.0, why)


def test_without_a_name_the_likeliest_is_explained(predictor: Predictor) -> None:
    pytest.importorskip("skimage")
    image = picture("taj_mahal")
    explained = predictor.explain(image, samples=50)
    assert explained.landmark == "Taj Mahal"
    assert explained.landmark_probability > 0.5
    assert explained.view.size == image.size
    pytest.importorskip("matplotlib")
    drawings = []
    for landmark in ("Taj Mahal", "Taj Mahal", "$\\no formula$ " * 9):
        file = io.BytesIO()
        draw_explanation(explained._replace(landmark=landmark), file)
        drawings.append(file.getvalue())
    assert drawings[0] == drawings[1]
    with Image.open(io.BytesIO(drawings[2])) as drawing:
        assert drawing.format == "PNG"


def test_a_drawing_rounds_nothing_away(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage")
    figure = pytest.importorskip("matplotlib.figure").Figure
    figures: list[figure] = []
    monkeypatch.setattr(figure, "savefig", lambda self, *to, **settings: figures.append(self))
    explained = predictor.explain(picture("taj_mahal"), samples=50)
    found = explained.explanation
    faint = found._replace(confidence=0.996, weights=np.full_like(found.weights, 1e-3))
    draw_explanation(explained._replace(explanation=faint), io.BytesIO())
    whole, _, _, scale = figures[0].axes
    assert whole.get_title() == "Taj Mahal\n99.6%"
    ticks = [label.get_text() for label in scale.get_xticklabels()]
    assert len(set(ticks)) == len(ticks) > 2
    assert "change" in scale.get_xlabel() and "points" in scale.get_xlabel()
    assert figures[0].axes[2].images[1].get_clim() == (-1, 1)  # points: less is noise


def test_a_landmark_that_the_model_does_not_know(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="Big Ben"):
        predictor.explain(picture("taj_mahal"), "Big Ben")


def test_without_the_extra_it_is_named(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage.segmentation", None)
    with pytest.raises(MissingDependencyError, match=r"\[plot\]"):
        predictor.explain(picture("taj_mahal"))


def test_a_photo_that_crashes_its_decoder_is_an_error_of_its_own(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pillow_heif.py").write_text("import os\nHeifImageFile = lambda *_: os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    decoder = IsolatedDecoder()
    predictor = Predictor(model_path, decoder=decoder)
    heic = Upload("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    with pytest.raises(PhotoError, match="its decoder crashed"):
        predictor.read(heic)
    with pytest.raises(PhotoError, match="its decoder crashed"):
        predictor.view(heic)
    reading = predictor.read(Upload("b.jpg", jpeg_bytes(picture("taj_mahal"))))
    assert reading.prediction is not None and reading.prediction.top[0].slug == "taj_mahal"
    decoder.close()
