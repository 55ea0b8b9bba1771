"""What many tests need: generated photos and a small model that really tells colours apart."""

from __future__ import annotations

import functools
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import piexif
import pytest
from hypothesis import settings
from PIL import Image

from geotag.decoding.isolated import IsolatedDecoder
from geotag.metadata.positions import degrees_to_rationals

# Each worker has a processor to itself: threads of their own would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Workers and the processes that tests start, by the hundred, are not to compile geotag each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine is no failure.
settings.register_profile("few", deadline=None, max_examples=20)
settings.register_profile("many", deadline=None, max_examples=100)

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
COLOURS = {
    "eiffel_tower": (200, 30, 30),
    "taj_mahal": (30, 200, 30),
    "stonehenge": (30, 30, 200),
    "": (128, 128, 128),
}


def pytest_configure(config: pytest.Config) -> None:
    """Property tests try many examples where slow tests are run too."""
    settings.load_profile("few" if config.option.markexpr == "not slow" else "many")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker a processor for the whole suite; a few tests are not worth their start."""
    chosen = [Path(part.split("::")[0]) for part in config.args]
    whole = all(path.resolve() in (ROOT, ROOT / "tests") for path in chosen)
    return None if whole else 0  # None: as many as xdist finds processors


@pytest.fixture(scope="session", autouse=True)
def folders_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Converted models, lists of catalogs and settings are the test run's, never the user's."""
    names = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "APPDATA")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # so that no model is converted twice
        shared = shared.parent
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setenv(name, str(tmp_path_factory.mktemp("user")))
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """What is on the disk when the power fails is the crash tests' matter; waiting takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


class KeptDecoder(IsolatedDecoder):
    """Leaves its processes to the next scan: their start is most of what a small one takes."""

    def close(self) -> None:
        pass


@functools.cache
def _kept_decoder(path: tuple[str, ...]) -> KeptDecoder:
    """One for each sys.path: that tells what the processes import."""
    return KeptDecoder()


@pytest.fixture(scope="session", autouse=True)
def decoders() -> Iterator[None]:
    """Scans in this process share decoding processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "geotag.decoding.isolated.IsolatedDecoder", lambda: _kept_decoder(tuple(sys.path))
        )
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos; skips where it is not."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real photos are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=chromium, args=quiet)
        yield launched
        launched.close()


def picture(colour: str = "", size: tuple[int, int] = (120, 90), seed: int = 0) -> Image.Image:
    """A noisy picture of one of COLOURS."""
    return patches_of(COLOURS[colour], size, seed)


def patches_of(
    colour: tuple[int, int, int], size: tuple[int, int] = (120, 90), seed: int = 0
) -> Image.Image:
    """A noisy picture in patches around a colour: one without any has nothing to classify."""
    return (_cached if size == (120, 90) else _drawn)(colour, size, seed).copy()


def _drawn(colour: tuple[int, int, int], size: tuple[int, int], seed: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 20, (size[1], size[0], 3))
    coarse = Image.fromarray(generator.normal(0, 16, (6, 8)).astype(np.float32))
    patches = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))[..., None]
    pixels = np.clip(np.array(colour) + noise + patches, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


_cached = functools.lru_cache(1024)(_drawn)


def gps_ifd(latitude: float, longitude: float) -> dict[int, object]:
    """A GPS directory for piexif."""
    return {
        piexif.GPSIFD.GPSLatitudeRef: b"N" if latitude >= 0 else b"S",
        piexif.GPSIFD.GPSLatitude: degrees_to_rationals(latitude),
        piexif.GPSIFD.GPSLongitudeRef: b"E" if longitude >= 0 else b"W",
        piexif.GPSIFD.GPSLongitude: degrees_to_rationals(longitude),
    }


def jpeg_bytes(
    image: Image.Image, gps: dict[int, object] | None = None, **directories: dict[int, object]
) -> bytes:
    """An image as JPEG with the given Exif directories (zeroth, exif)."""
    exif = {
        "GPS": gps or {},
        "0th": directories.get("zeroth", {}),
        "Exif": directories.get("exif", {}),
    }
    buffer = io.BytesIO()
    if any(exif.values()):
        image.save(buffer, "JPEG", quality=92, exif=piexif.dump(exif))
    else:
        image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


WritePhoto = Callable[..., Path]


@pytest.fixture
def write_photo(tmp_path: Path) -> WritePhoto:
    """Writes a JPEG below tmp_path/photos: a colour, and Exif directories as for jpeg_bytes."""

    def write(name: str, colour: str = "", seed: int = 0, **exif: dict[int, object]) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(picture(colour, seed=seed), **exif))
        return path

    return write


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes red for the Eiffel Tower, green for the Taj Mahal, blue for Stonehenge.

    A network with random weights and a head on its features: seconds to make, and as real to the
    scan as any other.
    """
    import torch

    from geotag.decoding.transforms import preprocess
    from geotag.model.architectures import build_model
    from geotag.model.checkpoint import save_checkpoint
    from geotag.model.spec import ModelSpec, ScoreShares, Threshold

    slugs = tuple(slug for slug in COLOURS if slug)
    size, mean, std = 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    torch.manual_seed(0)
    network = build_model("lenet", len(slugs) + 1)
    labels = [label for label in range(4) for _ in range(8)]
    pictures = [picture([*slugs, ""][label], seed=100 + n) for n, label in enumerate(labels)]
    pixels = np.stack([preprocess(image, size) for image in pictures]).transpose(0, 3, 1, 2)
    inputs = (torch.from_numpy(pixels).float() / 255 - 0.5) / 0.25
    with torch.no_grad():
        features = network.features(inputs)
        # The nearest centre, on centred features: few numbers to go wrong in bfloat16. At the
        # scale chosen the closest two colours are 20 logits apart.
        middle = features.mean(0)
        centres = features.reshape(4, 8, -1).mean(1) - middle
        closest = torch.cdist(centres, centres).fill_diagonal_(torch.inf).min()
        weight = centres * (40 / closest**2)
        network.classifier.weight.copy_(weight)
        network.classifier.bias.copy_(-(weight * centres).sum(1) / 2 - weight @ middle)
    path = tmp_path_factory.mktemp("model") / "colours.safetensors"
    spec = ModelSpec(
        "lenet", size, "squash", mean, std, slugs, 1.0,
        (Threshold(0.95, 0.6), Threshold(0.99, 0.9)), {"made by": "tests"},
        shares=ScoreShares((0.35, 0.9, 0.999), (0.95, 0.8, 0.4), (0.3, 0.02, 0.0002), 0.06),
    )  # fmt: skip
    save_checkpoint(path, spec, {n: t.numpy() for n, t in network.state_dict().items()})
    return path
