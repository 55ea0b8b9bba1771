"""Rows and photos for the tests that write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from geotag.files.paths import format_path
from geotag.records import (
    Outcome,
    Status,
    TopCategory,
)
from geotag.state.catalog import Catalog
from geotag.state.journal import Journal
from geotag.writing.blocks.xmp import XmpPacket, parse_packet
from geotag.writing.result import WriteResult
from geotag.writing.revert import revert_run

TOP = (TopCategory(3, "x", "Eiffel Tower", 0.93),)


def tagged(path: Path | str) -> Outcome:
    return Outcome(
        format_path(str(path)), Status.TAGGED, landmark="Eiffel Tower", confidence=0.93, top_k=TOP
    )


def add(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def sidecar_of(path: Path) -> XmpPacket:
    return parse_packet(path.with_name(path.name + ".xmp").read_bytes())


Write = Callable[..., WriteResult]


def revert_last(catalog: Catalog) -> list[WriteResult]:
    journal = Journal(catalog.connection)
    return list(revert_run(journal, [run.id for run in journal.runs() if run.files][-1]))
