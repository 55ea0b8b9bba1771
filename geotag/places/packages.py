"""The optional packages that placing needs."""

from __future__ import annotations

from importlib.util import find_spec

from geotag.errors import MissingDependencyError

_PACKAGES = ("tzfpy", "countrycheck")


def check_installed() -> None:
    """Raise MissingDependencyError where one is missing: before a photo is read for nothing."""
    if any(find_spec(name) is None for name in _PACKAGES):
        raise MissingDependencyError("placing photos by time", "places")
