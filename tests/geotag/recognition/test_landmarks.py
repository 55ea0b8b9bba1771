"""Landmarks of a user's own: learned from examples, used by a scan, taken back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piexif
import pytest
from click.testing import CliRunner
from PIL import Image

from geotag import scan_rows
from geotag.cli import cli
from geotag.decoding.transforms import preprocess
from geotag.engines.embedding import Embedder
from geotag.errors import CheckpointError, GeotagError, UsageError
from geotag.model.architectures import build_model
from geotag.model.checkpoint import (
    PREFILTER,
    Checkpoint,
    ModelHeader,
    load_checkpoint,
    save_checkpoint,
)
from geotag.model.networks import EMBEDDING
from geotag.model.spec import Prefilter, Threshold
from geotag.recognition.landmarks import (
    Place,
    add_landmark,
    load_background,
    own_category,
    with_background,
)
from geotag.records import Status
from geotag.sources.local import LocalSource
from tests.conftest import COLOURS, jpeg_bytes, patches_of, picture

YELLOW = (210, 200, 40)


def yellow(seed: int) -> Image.Image:
    return patches_of(YELLOW, seed=seed)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for seed in range(12):
        (folder / f"{seed}.jpg").write_bytes(jpeg_bytes(yellow(seed)))
    return folder


@pytest.fixture(scope="module")
def ready(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the tests with a stored background of its four colours."""
    checkpoint = load_checkpoint(model_path)
    pictures = [picture(colour, seed=n) for colour in COLOURS for n in range(300, 330)]
    pixels = np.stack([preprocess(image, checkpoint.spec.input_size) for image in pictures])
    tensors = with_background(checkpoint.tensors, Embedder(checkpoint).embed(pixels))
    path = tmp_path_factory.mktemp("ready") / "model.safetensors"
    save_checkpoint(path, checkpoint.spec, tensors)
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["landmarks", *map(str, arguments)])
    if isinstance(result.exception, GeotagError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def taught(ready: Path, examples: Path, tmp_path: Path) -> Path:
    out = tmp_path / "taught.safetensors"
    run("add", "Yellow House", examples, "--model", ready, "--out", out,
        "--latitude", 47.5, "--longitude", 8.25, "--radius", 200, "--city", "Dorf")  # fmt: skip
    return out


@pytest.mark.slow
def test_a_scan_finds_the_new_landmark_and_the_old_ones(
    taught: Path, write_photo: Callable[..., Path], tmp_path: Path
) -> None:
    for colour in COLOURS:
        write_photo(f"{colour or 'grey'}.jpg", colour, seed=7)
    (tmp_path / "photos/yellow.jpg").write_bytes(jpeg_bytes(yellow(99)))
    rows = {Path(row.path).stem: row for row in scan_rows(tmp_path / "photos", model=taught)}
    found = rows["yellow"]
    assert (found.status, found.landmark, found.city) == (Status.TAGGED, "Yellow House", "Dorf")
    assert (found.latitude, found.longitude, found.radius_m) == (47.5, 8.25, 200)
    assert found.position_source == "inferred"
    assert found.category_id is not None and found.category_id >= 1_000_000
    assert rows["eiffel_tower"].landmark == "Eiffel Tower"
    assert rows["stonehenge"].landmark == "Stonehenge"
    assert rows["grey"].status is Status.NO_LANDMARK


@pytest.mark.slow
def test_a_landmark_without_a_place_has_no_position(
    ready: Path, examples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    run("add", "Yellow House", examples, "--model", ready, "--out", out)
    (row,) = scan_rows(examples / "0.jpg", model=out)
    assert (row.status, row.landmark) == (Status.TAGGED, "Yellow House")
    assert (row.latitude, row.longitude, row.position_source) == (None, None, "")


def test_list_and_categories_show_it(taught: Path) -> None:
    assert run("list", "--model", taught) == "Yellow House  47.50000, 8.25000  Dorf\n"
    entry = json.loads(run("list", "--model", taught, "--json"))
    assert entry["slug"] == "own_yellow_house"
    shown = CliRunner().invoke(cli, ["categories", "--model", str(taught)])
    assert "Yellow House" in shown.output and "Stonehenge" in shown.output


def test_removing_gives_the_model_back(ready: Path, taught: Path, tmp_path: Path) -> None:
    out = tmp_path / "back.safetensors"
    run("remove", "yellow house", "--model", taught, "--out", out)
    assert out.read_bytes() == ready.read_bytes()
    assert run("list", "--model", out) == "this model has no added landmarks\n"
    with pytest.raises(UsageError, match="added: none"):
        run("remove", "Yellow House", "--model", out, "--out", out)


def test_no_photo_is_taken_for_the_model_to_write(ready: Path, examples: Path) -> None:
    photo = examples / "0.jpg"
    before = photo.read_bytes()
    arguments = ["landmarks", "add", "Yellow House", "--out", str(photo), str(examples)]
    result = CliRunner().invoke(cli, [*arguments, "--model", str(ready)])
    assert result.exit_code == 2 and "exists and is not a model" in result.output
    assert photo.read_bytes() == before


def test_a_second_landmark_learns_from_the_first(taught: Path, tmp_path: Path) -> None:
    before = load_background(load_checkpoint(taught))
    assert len(before) == 120 + 12
    for seed in range(5):
        pixels = 255 - np.asarray(yellow(seed))
        Image.fromarray(pixels).save(tmp_path / f"{seed}.png")
    out = tmp_path / "two.safetensors"
    run("add", "Blue House", *tmp_path.glob("*.png"), "--model", taught, "--out", out)
    spec = load_checkpoint(out).spec
    assert [c.name for c in spec.own_categories] == ["Yellow House", "Blue House"]
    assert [c.id for c in spec.own_categories] == [1_000_000, 1_000_001]


def test_the_same_examples_give_the_same_model(ready: Path, examples: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("add", "House", examples, "--model", ready, "--out", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_copies_of_a_photo_are_one_example_which_promises_nothing(
    ready: Path, tmp_path: Path
) -> None:
    for n in range(6):
        (tmp_path / f"{n}.jpg").write_bytes(jpeg_bytes(yellow(0)))
    output = run("add", "House", tmp_path, "--model", ready, "--out", tmp_path / "m")
    assert "House: learned from 1 photo; one photo cannot tell how many" in output
    assert "held out" not in output and "likely" not in output
    assert load_checkpoint(tmp_path / "m").spec.categories[-1] == "own_house"


def test_two_photos_are_held_out_in_turn(ready: Path, tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"{n}.jpg").write_bytes(jpeg_bytes(yellow(n)))
    output = run("add", "House", tmp_path, "--model", ready, "--out", tmp_path / "m")
    assert "learned from 2 photos; about " in output and "of 2 photos are recognised" in output


def test_unreadable_examples_are_named(ready: Path, examples: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    output = run("add", "House", examples, tmp_path, "--model", ready, "--out", tmp_path / "m")
    assert "broken.jpg" in output and "learned from 12 photos" in output


def test_photos_of_a_known_landmark_are_noticed(ready: Path, tmp_path: Path) -> None:
    for n in range(6):
        (tmp_path / f"{n}.jpg").write_bytes(jpeg_bytes(picture("stonehenge", seed=n)))
    output = run("add", "Stones", tmp_path, "--model", ready, "--out", tmp_path / "m")
    assert "took most of these photos for Stonehenge" in output


def test_a_built_in_name_is_taken_when_asked_alone(
    ready: Path, examples: Path, tmp_path: Path
) -> None:
    arguments = ("add", "EIFFEL  tower", examples, "--model", ready, "--out", tmp_path / "m")
    with pytest.raises(UsageError, match="knows “Eiffel Tower” already"):
        run(*arguments)
    assert not (tmp_path / "m").exists()
    run(*arguments, "--force")
    spec = load_checkpoint(tmp_path / "m").spec
    assert spec.categories[-1] == "own_eiffel_tower" and "eiffel_tower" in spec.categories


def test_an_added_landmark_is_learned_anew_when_asked(
    ready: Path, taught: Path, examples: Path, tmp_path: Path
) -> None:
    fresh, again = tmp_path / "fresh", tmp_path / "again"
    photos = sorted(examples.iterdir())[:6]
    run("add", "yellow house", *photos, "--model", ready, "--out", fresh)
    run("add", "yellow house", *photos, "--model", taught, "--out", again, "--force")
    assert again.read_bytes() == fresh.read_bytes()


def test_what_held_out_photos_are_taken_for_is_said(
    ready: Path, examples: Path, tmp_path: Path
) -> None:
    alike = [tmp_path / f"{n}.jpg" for n in range(2)]
    for n, path in enumerate(alike):
        path.write_bytes(jpeg_bytes(picture("stonehenge", seed=n)))
    output = run("add", "House", examples, *alike, "--model", ready, "--out", tmp_path / "m")
    assert "each held out in turn, 12 of 14 photos are recognised" in output
    assert "taken are 2 for Stonehenge\n" in output
    output = run("add", "House", examples, "--model", ready, "--out", tmp_path / "m")
    assert "each held out in turn, 12 of 12 photos are recognised\n" in output


def test_a_model_without_a_background_says_what_to_do(
    model_path: Path, examples: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"training\.background"):
        run("add", "House", examples, "--model", model_path, "--out", tmp_path / "m")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("", Place()),
        ("two\nlines", Place()),
        ("x" * 300, Place()),
        ("House", Place(latitude=47.5)),
        ("House", Place(95.0, 8.0)),
        ("House", Place(radius_m=-1)),
        ("House", Place(city=" Dorf")),
    ],
)
def test_names_and_places_are_checked(ready: Path, name: str, place: Place) -> None:
    with pytest.raises(UsageError):
        own_category(load_checkpoint(ready).spec, name, place)


def test_names_in_other_scripts_have_slugs(ready: Path) -> None:
    slug = own_category(load_checkpoint(ready).spec, "故宫", Place()).slug
    assert slug.startswith("own_") and len(slug) == 16


def test_a_name_stands_once(taught: Path) -> None:
    with pytest.raises(UsageError, match="already"):
        own_category(load_checkpoint(taught).spec, "Yellow house", Place())


@pytest.fixture
def cascading(ready: Path, tmp_path: Path) -> Path:
    """`ready` with a prefilter of 48 pixels."""
    checkpoint = load_checkpoint(ready)
    least = tuple(Threshold(t.precision, 0.5) for t in checkpoint.spec.thresholds)
    path = tmp_path / "cascading.safetensors"
    save_checkpoint(
        path, checkpoint.spec._replace(prefilter=Prefilter(48, least)), checkpoint.tensors
    )
    return path


def with_thumbnail(path: Path, image: Image.Image) -> None:
    small = io.BytesIO()
    image.resize((160, 120)).save(small, "JPEG")
    exif = {"1st": {piexif.ImageIFD.Compression: 6}, "thumbnail": small.getvalue()}
    image.resize((400, 300)).save(path, exif=piexif.dump(exif))


@pytest.mark.slow
def test_the_cascade_knows_the_new_landmark(
    cascading: Path, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thumbnail lets it pass; what shows no landmark stays unread as before."""
    model, folder = tmp_path / "m.safetensors", tmp_path / "library"
    run("add", "Yellow House", examples, "--model", cascading, "--out", model)
    folder.mkdir()
    with_thumbnail(folder / "yellow.jpg", yellow(99))
    with_thumbnail(folder / "tower.jpg", picture("eiffel_tower", seed=7))
    with_thumbnail(folder / "grey.jpg", picture("", seed=7))
    read: list[str] = []
    original = LocalSource.read

    def note(self: LocalSource, uri: str) -> bytes:
        read.append(Path(uri).stem)
        return original(self, uri)

    monkeypatch.setattr(LocalSource, "read", note)
    found = {Path(row.path).stem: row.landmark for row in scan_rows(folder, model=model)}
    assert found == {"yellow": "Yellow House", "tower": "Eiffel Tower", "grey": ""}
    assert sorted(read) == ["tower", "yellow"]


def test_removing_gives_a_cascade_model_back(
    cascading: Path, examples: Path, tmp_path: Path
) -> None:
    """Whichever of two is removed first, the prefilter keeps the other's row."""
    two, one, none = (tmp_path / f"{n}.safetensors" for n in ("two", "one", "none"))
    run("add", "Yellow House", examples, "--model", cascading, "--out", one)
    run("add", "Blue House", examples, "--model", one, "--out", two)
    rows = {n: t for n, t in load_checkpoint(two).tensors.items() if n.startswith(PREFILTER)}
    assert {len(array) for array in rows.values()} == {2}
    for first, second in (("Yellow House", "Blue House"), ("Blue House", "Yellow House")):
        run("remove", first, "--model", two, "--out", one)
        left = load_checkpoint(one)
        assert left.spec.prefilter is not None and left.spec.prefilter.own == 1
        at = int(first == "Yellow House")
        assert all(np.array_equal(left.tensors[n], t[at : at + 1]) for n, t in rows.items())
        run("remove", second, "--model", one, "--out", none)
        assert none.read_bytes() == cascading.read_bytes()


def test_a_landmark_that_the_prefilter_does_not_know_turns_the_cascade_off(taught: Path) -> None:
    """As those that were added before there was a prefilter, or by an older version."""
    checkpoint = load_checkpoint(taught)
    least = tuple(Threshold(t.precision, 0.5) for t in checkpoint.spec.thresholds)
    spec = checkpoint.spec._replace(prefilter=Prefilter(48, least))
    assert spec.prefilter_for(0.999) == 0
    photos = np.stack([preprocess(yellow(n), spec.input_size) for n in range(5)])
    before = checkpoint._replace(header=ModelHeader(spec, "x"))
    added = add_landmark(before, "Another", photos)
    assert added.spec.prefilter_for(0.999) == 0
    assert not any(name.startswith(PREFILTER) for name in added.tensors)


def test_gates_above_the_usual_precision_are_not_for_new_landmarks(taught: Path) -> None:
    spec = load_checkpoint(taught).spec
    thresholds = (Threshold(0.99, 0.8), Threshold(0.995, 0.9))
    least = (Threshold(0.99, 0.6), Threshold(0.995, 0.7))
    spec = spec._replace(thresholds=thresholds, prefilter=Prefilter(48, least, own=1))
    assert spec.prefilter_for(0.95) == 0.6
    assert (
        spec._replace(own_categories=(), prefilter=Prefilter(48, least)).prefilter_for(0.95) == 0.7
    )


@pytest.mark.slow
def test_a_backbone_as_prefilter_learns_the_landmark_from_its_own_share(ready: Path) -> None:
    import torch

    spec = load_checkpoint(ready).spec
    least = tuple(Threshold(t.precision, 0.5) for t in spec.thresholds)
    spec = spec._replace(
        architecture="lite1_pplcnetv2", prefilter=Prefilter(48, least, "pplcnetv2", backbone=1)
    )
    torch.manual_seed(0)
    network = build_model(spec.architecture, len(spec.categories) + 1)
    plain = Checkpoint(
        ModelHeader(spec, "x"), {n: t.numpy() for n, t in network.state_dict().items()}
    )
    photos = np.stack([preprocess(yellow(n), spec.input_size) for n in range(5)])
    others = np.stack([preprocess(picture("", seed=n), spec.input_size) for n in range(20)])
    background = Embedder(plain).embed(others)
    tensors = with_background(plain.tensors, background)
    added = add_landmark(plain._replace(tensors=tensors), "Yellow House", photos)
    taught = Checkpoint(ModelHeader(added.spec, "y"), added.tensors)
    weight = taught.prefilter().tensors["classifier.weight"]
    row = added.tensors[PREFILTER + "classifier.weight"]
    assert np.array_equal(weight[-2:-1], row)
    assert np.array_equal(np.delete(weight, -2, 0), plain.prefilter().tensors["classifier.weight"])
    background[:, :EMBEDDING] = 0.5  # what the other backbone says has no part in it
    tensors = with_background(plain.tensors, background)
    same = add_landmark(plain._replace(tensors=tensors), "Yellow House", photos)
    assert np.array_equal(same.tensors[PREFILTER + "classifier.weight"], row)
    wrong = {**added.tensors, PREFILTER + "nonsense": np.zeros((1, 3))}
    with pytest.raises(CheckpointError, match="prefilter"):
        taught._replace(tensors=wrong).prefilter()
