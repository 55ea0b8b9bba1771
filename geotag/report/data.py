"""The rows of a table as the JSON that the report's page reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from geotag.records import Outcome
from geotag.report.surroundings import Surroundings

TEXT_LIMIT = 500  # letters of a cell that are shown
_CANDIDATES = 3
_STEPS = 10_000  # to a degree, of tracks: some ten metres
# Columns in which the same text comes again and again: kept once, and named by number.
_REPEATED = (
    "position_source", "landmark", "city", "country", "camera", "method", "place",
    "region",
)  # fmt: skip


def report_data(rows: Sequence[Outcome]) -> dict[str, Any]:
    """The columns that the page shows; positions that are none on Earth are left out."""
    words: dict[str, int] = {}

    def numbers(texts: Iterable[str]) -> list[int]:
        return [words.setdefault(_clipped(text), len(words)) for text in texts]

    paths = [row.path.rpartition("/") for row in rows]
    columns: dict[str, list[Any]] = {
        "name": [_clipped(name) for _, _, name in paths],
        "folder": numbers(folder for folder, _, _ in paths),
        "position": [_position(row) for row in rows],
        "radius": [None if row.radius_m is None else round(row.radius_m) for row in rows],
        "confidence": [
            None if row.confidence is None else round(row.confidence, 4) for row in rows
        ],
        "taken": [_clipped(row.taken_at) for row in rows],
        "error": [_clipped(row.error) for row in rows],
        "evidence": [_clipped(row.evidence) for row in rows],
        "candidates": [
            [
                [*numbers([entry.landmark]), round(entry.confidence, 4)]
                for entry in row.top_k[:_CANDIDATES]
            ]
            for row in rows
        ],
    }
    columns["status"] = numbers(row.status.value for row in rows)
    for name in _REPEATED:
        columns[name] = numbers(getattr(row, name) for row in rows)
    repeated = ["folder", "status", *_REPEATED]
    return {"count": len(rows), "repeated": repeated, "words": list(words), "columns": columns}


def surroundings_data(around: Surroundings) -> dict[str, Any]:
    """Towns as names and positions, tracks as whole steps, each point from the one before it."""
    return {
        "towns": [
            [town.name, round(town.longitude, 3), round(town.latitude, 3)] for town in around.towns
        ],
        "steps": _STEPS,
        "tracks": [_steps(line) for line in around.tracks],
        "clocks": [_clipped(line) for line in around.clocks],
    }


def _steps(line: Sequence[tuple[float, float]]) -> list[int]:
    """Longitude and latitude in turn, in whole steps; longitudes run on across the antimeridian."""
    steps: list[int] = []
    east = north = 0
    for latitude, longitude in line:
        up, right = round(latitude * _STEPS) - north, round(longitude * _STEPS) - east
        if steps:
            right -= round(right / (360 * _STEPS)) * 360 * _STEPS
        steps += (right, up)
        north, east = north + up, east + right
    return steps


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor begin another or a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _clipped(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "…"


def _position(row: Outcome) -> list[float] | None:
    latitude, longitude = row.latitude, row.longitude
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return [round(latitude, 6), round(longitude, 6)]
