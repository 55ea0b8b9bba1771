"""What came of writing into one photo, or of reverting one file."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from geotag.writing.tags import Change


class Action(str, Enum):
    """What came of one row or one file; of a dry run, what would."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    LEFT_ALONE = "left alone"
    FAILED = "failed"
    REVERTED = "reverted"


class WriteResult(NamedTuple):
    """What came of one row; `files` are those written, `reason` says why not or why elsewhere."""

    path: str
    action: Action
    reason: str = ""
    files: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    into_sidecar: bool = False
