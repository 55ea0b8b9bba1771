"""Where this user's cache, state and settings lie: XDG Base Directory specification, and others."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """For what can be made again. Raises OSError for a user without a home."""
    if sys.platform == "win32":
        return _below("LOCALAPPDATA", "AppData", "Local")
    if sys.platform == "darwin":
        return _below("", "Library", "Caches")
    return _below("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """For what is remembered. Raises OSError for a user without a home."""
    return _below("XDG_STATE_HOME", ".local", "state")


def settings_folder() -> Path:
    """For what the user sets. Raises OSError for a user without a home."""
    if sys.platform == "win32":
        return _below("APPDATA", "AppData", "Roaming")
    if sys.platform == "darwin":
        return _below("", "Library", "Application Support")
    return _below("XDG_CONFIG_HOME", ".config")


def _below(variable: str, *default: str) -> Path:
    """geotag's folder in the one that a variable names, else in one of the home folder."""
    named = os.environ.get(variable, "")
    if not os.path.isabs(named):  # which the specification wants ignored
        home = os.path.expanduser("~") if os.environ.get("HOME", "~") else ""
        named = os.path.join(home, *default)
    if not os.path.isabs(named):
        raise FileNotFoundError(errno.ENOENT, "this user has no home folder")
    return Path(named) / "geotag"
