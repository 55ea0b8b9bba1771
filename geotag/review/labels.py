"""Decisions as labels to train with: a manifest, as training sets have one."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from geotag.state.decisions import Decision, Verdict

COLUMNS = ("file", "label", "split", "source", "group")
SOURCE = "review"


def format_labels(decisions: Mapping[str, Decision], folder: Path) -> tuple[str, int]:
    """CSV of the photos below a folder that the user named or rejected; how many these are.

    A landmark's label is its slug; a photo of no landmark has an empty one. Places that are no
    landmarks, and positions, say nothing of what is seen: such photos are left out.
    """
    root = os.path.realpath(folder)
    rows = sorted(
        (path, label)
        for uri, decision in decisions.items()
        if (label := _label(decision)) is not None and (path := _below(root, uri)) is not None
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((path, label, "train", SOURCE, path) for path, label in rows)
    return text.getvalue(), len(rows)


def _label(decision: Decision) -> str | None:
    if decision.verdict is Verdict.REJECTED:
        return ""
    return decision.slug or None


def _below(root: str, uri: str) -> str | None:
    """A photo's path below a folder, with slashes; None for others, and for those whose names a
    training set cannot hold."""
    path = os.path.realpath(uri)
    if not path.startswith(root + os.sep) or not path.isprintable() or "\\" in path:
        return None
    return os.path.relpath(path, root).replace(os.sep, "/")
