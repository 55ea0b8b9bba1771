"""geotag tags photo libraries with places: it keeps what cameras measured, recognises the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geotag.api import (
        Action,
        GeotagError,
        Outcome,
        PhotoError,
        RankedLandmark,
        Status,
        UsageError,
        WriteResult,
        predict_landmarks,
        rank_landmarks,
        read_table,
        revert,
        scan,
        scan_rows,
        suggest_locations,
        write,
    )

__version__ = "0.1.0"
__all__ = [
    "Action",
    "GeotagError",
    "Outcome",
    "PhotoError",
    "RankedLandmark",
    "Status",
    "UsageError",
    "WriteResult",
    "predict_landmarks",
    "rank_landmarks",
    "read_table",
    "revert",
    "scan",
    "scan_rows",
    "suggest_locations",
    "write",
]


def __getattr__(name: str) -> Any:
    """Import the public names when one is first asked for: `import geotag` alone costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'geotag' has no attribute {name!r}")
    from geotag import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
