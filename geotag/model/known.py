"""How well a model knows each landmark, as measured: a small file beside the built-in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from geotag.errors import CheckpointError
from geotag.model.checkpoint import ModelHeader, built_in_path

SCHEMA = 1
FILE = "known.json"
_SIZE_LIMIT = 2**20


class Known(NamedTuple):
    """Of one landmark: training photos and how many of them are small; validation photos, and how
    many are named rightly and tagged rightly by default."""

    photos: int
    small: int
    tried: int
    named: int
    tagged: int


def load_known(header: ModelHeader, path: Path | None = None) -> dict[str, Known]:
    """What is known of the model's landmarks by their slugs; nothing where the file (None: the one
    beside the built-in model) is of another model or is not there.

    Raises CheckpointError for a malformed one.
    """
    path = path or built_in_path().with_name(FILE)
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_SIZE_LIMIT))
        if document["schema"] != SCHEMA or document["model"] != header.sha256:
            return {}
        return {slug: _parse(fields) for slug, fields in document["landmarks"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: does not say how well landmarks are known ({reason}); write it anew with "
            "python -m training.known"
        ) from error


def _parse(fields: object) -> Known:
    if not isinstance(fields, dict) or fields.keys() != set(Known._fields):
        raise ValueError("a landmark lacks a count, or has one too many")
    known = Known(**fields)
    if not all(type(count) is int and count >= 0 for count in known):
        raise ValueError("a count is no whole number")
    if known.small > known.photos or not known.tagged <= known.named <= known.tried:
        raise ValueError("counts contradict each other")
    return known


def format_known(header: ModelHeader, landmarks: dict[str, Known]) -> str:
    """The JSON that `load_known` reads, one landmark a line."""
    lines = (
        f"{json.dumps(slug)}: {json.dumps(known._asdict())}"
        for slug, known in sorted(landmarks.items())
    )
    model = json.dumps(header.sha256)
    inside = ",\n".join(lines)
    return f'{{"schema": {SCHEMA}, "model": {model}, "landmarks": {{\n{inside}\n}}}}\n'
