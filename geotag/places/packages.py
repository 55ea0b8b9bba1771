"""The optional packages that placing needs, and geotag's own rules for it."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from importlib.util import find_spec

from geotag.errors import MissingDependencyError

_PACKAGES = ("tzfpy", "countrycheck")


def check_installed() -> None:
    """Raise MissingDependencyError where one is missing: before a photo is read for nothing."""
    if any(find_spec(name) is None for name in _PACKAGES):
        raise MissingDependencyError("placing photos by time", "places")


@functools.cache
def rules_digest() -> str:
    """What changes with geotag's rules for placing, in short: the same photos may then be placed
    otherwise."""
    code = hashlib.blake2b(digest_size=32)
    for module in sorted(resources.files("geotag.places").iterdir(), key=lambda file: file.name):
        if module.name.endswith(".py"):
            code.update(module.read_bytes())
    return code.hexdigest()
