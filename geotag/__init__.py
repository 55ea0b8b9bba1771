"""geotag tags photo libraries with places: it keeps what cameras measured, recognises the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geotag.api import (
        RankedLandmark,
        predict_landmarks,
        rank_landmarks,
        revert,
        scan,
        scan_rows,
        suggest_locations,
        write,
    )
    from geotag.errors import GeotagError, PhotoError, UsageError
    from geotag.records import Outcome, Status
    from geotag.tables import read_table
    from geotag.writing.result import Action, WriteResult

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
    from geotag import api, errors
    from geotag.writing import result

    return next(getattr(home, name) for home in (api, errors, result) if hasattr(home, name))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
