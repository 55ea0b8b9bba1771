"""A small labelled set of generated photos: colours, as the model of the tests tells them apart."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from geotag.errors import GeotagError
from tests.conftest import COLOURS, picture

PHOTOS = {"train": 6, "val": 4, "test": 4}


def write_set(
    root: Path,
    counts: dict[str, int],
    mislabelled: int = 0,
    size: tuple[int, int] = (60, 48),
) -> Path:
    """manifest.csv and photos of each colour; the first train photos of red are labelled blue."""
    rows = []
    for label in COLOURS:
        for split, count in counts.items():
            for n in range(count):
                path = f"{label or 'negatives'}/{split}{n}.jpg"
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                seed = 1000 * list(counts).index(split) + n
                picture(label, size=size, seed=seed).save(file, quality=95)
                wrong = label == "eiffel_tower" and split == "train" and n < mislabelled
                written = "stonehenge" if wrong else label
                rows.append((path, written, split, "web" if n % 2 else "camera", path))
    with (root / "manifest.csv").open("w", newline="") as file_:
        writer = csv.writer(file_)
        writer.writerows([("file", "label", "split", "source", "group"), *rows])
    return root


@pytest.fixture(scope="module", autouse=True)
def by_pytorch() -> Iterator[None]:
    """As on a GPU: to convert each network that is trained, for another engine, takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "openvino", None)
        patch.setattr("geotag.engines.choose_engine", lambda options: "pytorch")
        yield


@pytest.fixture(scope="session")
def colour_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training set of three landmarks and negatives, right in every label."""
    return write_set(tmp_path_factory.mktemp("set"), PHOTOS)


Invoke = Callable[..., str]


@pytest.fixture
def invoke() -> Invoke:
    """Runs a command of training with arguments; returns what it printed."""

    def run(command: click.Command, *arguments: object) -> str:
        result = CliRunner().invoke(command, [str(a) for a in arguments])
        if isinstance(result.exception, GeotagError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run
