"""geotag tags photo libraries with places: it keeps what cameras measured, recognises the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geotag.api import scan
    from geotag.recognition.predictor import predict_landmarks, suggest_locations

__all__ = ["predict_landmarks", "scan", "suggest_locations"]

_HOMES = {
    "scan": "geotag.api",
    "predict_landmarks": "geotag.recognition.predictor",
    "suggest_locations": "geotag.recognition.predictor",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for: `import geotag` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'geotag' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
