"""A folder of photos, a catalog, and a write of one row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geotag.state.catalog import Catalog, open_catalog
from geotag.writing.result import WriteResult
from geotag.writing.writeback import WriteOptions, write_run
from tests.geotag.writing.rows import tagged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    return path


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(tmp_path / "t.csv.geotag") as opened:
        yield opened


@pytest.fixture
def write(catalog: Catalog) -> Callable[..., WriteResult]:
    """Writes one photo's row; options as for WriteOptions, cells as for a row."""

    def run(path: Path | str, **settings: object) -> WriteResult:
        names = WriteOptions._fields
        options = {name: settings.pop(name) for name in names if name in settings}
        row = tagged(path)._replace(**settings)  # type: ignore[arg-type]
        (result,) = write_run([row], catalog, WriteOptions(**options), "test")  # type: ignore[arg-type]
        return result

    return run
