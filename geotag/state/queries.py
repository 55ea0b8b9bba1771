"""The catalog's questions in SQL: what is listed, what must be read, what was perhaps moved."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from geotag.state.database import opened_to_read

# What this run's sources list; gone when the connection closes.
LISTED = """
CREATE TEMP TABLE listed (
    uri BLOB PRIMARY KEY, size INTEGER NOT NULL, version TEXT NOT NULL, sidecars TEXT
) WITHOUT ROWID
"""
_STALE = """
    photos.uri IS NULL OR photos.size != listed.size OR photos.version != listed.version
"""
PENDING = f"""
FROM listed LEFT JOIN photos USING (uri)
WHERE ({_STALE}
   OR (photos.failure_kind = 'transient' AND photos.retry_at <= :now)
   OR (photos.failure_kind IS NULL AND photos.model IS NOT :model
       AND (photos.latitude IS NULL OR :classify_all)
       AND NOT (ifnull(photos.model, '') LIKE :glanced
                AND photos.landmark_probability < :glance))
   OR (:rescan AND photos.scan IS NOT :scan))
"""
# Photos not known by name of which one of the same size was classified.
PERHAPS_MOVED = f"""
FROM listed LEFT JOIN photos USING (uri)
WHERE ({_STALE}) AND EXISTS (
    SELECT 1 FROM photos AS other INDEXED BY photos_by_content
    WHERE other.size = listed.size AND other.content_key IS NOT NULL)
"""
# What the user said last of each photo; beside max() SQLite gives the other columns of its row.
LATEST_ANSWERS = """
SELECT uri, run_id, picture, is_refusal, is_done, max(id) FROM answers GROUP BY uri
"""
# Photos not known by name and version that have an answer, or the size of one that has.
PERHAPS_ANSWERED = f"""
SELECT listed.uri, listed.size, listed.version FROM listed LEFT JOIN photos USING (uri)
WHERE ({_STALE}) AND (listed.uri IN (SELECT uri FROM answers) OR listed.size IN (
    SELECT other.size FROM answers JOIN photos AS other ON other.uri = answers.uri))
ORDER BY listed.uri
"""


def decided_with(path: Path, model: str) -> tuple[str, float] | None:
    """The SHA-256 and the threshold behind a table's tags by `model` (its name in the table).

    None when there is no such catalog, or it does not tell for sure. Nothing is locked or written.
    """
    query = "SELECT DISTINCT model, threshold FROM photos WHERE status = 'tagged'"
    try:
        with opened_to_read(path) as reader:
            rows = reader.execute(query).fetchall()
    except sqlite3.Error:
        return None
    found = {(str(sha), float(least)) for sha, least in rows if sha and least is not None}
    fitting = [pair for pair in found if model.endswith(f"-{pair[0][:12]}")]
    return fitting[0] if len(fitting) == 1 else None
