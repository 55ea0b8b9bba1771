"""Which catalogs this user wrote from, so that `geotag revert` finds their journals."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from geotag.files.atomic import atomic_file
from geotag.files.places import state_folder

_LIMIT = 1000


def list_path() -> Path:
    """The list, in the user's folder for state. Raises OSError for a user without a home."""
    return state_folder() / "catalogs"


def known_catalogs() -> list[Path]:
    """The catalogs that still exist, the one last written from first."""
    return [path for path in _listed() if path.exists()]


def remember_catalog(catalog: Path) -> None:
    """Put a catalog at the head of the list. Without a home to keep it in, nothing is kept."""
    path = catalog.absolute()
    paths = [path, *(other for other in _listed() if other != path)]
    with suppress(OSError):
        list_path().parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(list_path()) as file:
            file.write(b"".join(os.fsencode(p) + b"\0" for p in paths[:_LIMIT]))


def _listed() -> list[Path]:
    """Names end with a zero byte: all others may stand in a name."""
    try:
        data = list_path().read_bytes()
    except OSError:
        return []
    return [Path(os.fsdecode(name)) for name in data.split(b"\0") if name]
