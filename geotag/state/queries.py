"""The catalog's questions in SQL: what is listed, what must be read, what was perhaps moved."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from geotag.files.paths import format_path
from geotag.state.database import opened_to_read, sqlite_errors
from geotag.state.decided import decided_in
from geotag.state.schema import READING_COLUMNS
from geotag.state.summary import Failed

# What this run's sources list, and what of it must be read; gone when the connection closes.
LISTED = """
CREATE TEMP TABLE listed (
    uri BLOB PRIMARY KEY, size INTEGER NOT NULL, version TEXT NOT NULL, sidecars TEXT,
    is_seen INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID
"""
PENDING = "CREATE TEMP TABLE pending (id INTEGER PRIMARY KEY, uri BLOB NOT NULL)"
_STALE = """
    photos.uri IS NULL OR photos.size != listed.size OR photos.version != listed.version
"""
# An older geotag read it, which may have known less of metadata.
_IS_OLD = "ifnull(photos.reader, 0) < :reader"
# The wait before the next try is over or for an older version of the photo, or is longer than
# any: the clock was ahead when it was noted.
_IS_DUE = """
    retries.retry_at <= :now OR retries.retry_at > :now + :longest_wait
    OR retries.size != listed.size OR retries.version != listed.version
"""
CLASSIFIED = "SELECT count(*) FROM photos WHERE model = ? AND landmark_probability IS NOT NULL"
BEST = """
SELECT top, camera, taken_at, fingerprint FROM photos
WHERE model = ? AND prefilter IS NULL AND landmark_probability >= ? ORDER BY uri
"""
# Those that no run has tried yet come first, then those whose last try is the longest ago.
FIND_PENDING = f"""
INSERT INTO pending (uri)
SELECT listed.uri FROM listed LEFT JOIN photos USING (uri) LEFT JOIN retries USING (uri)
WHERE listed.is_seen AND (:rescan OR CASE WHEN retries.uri IS NOT NULL THEN {_IS_DUE} ELSE {_STALE}
    OR {_IS_OLD} OR (photos.failure_reason IS NULL
        AND (photos.latitude IS NULL OR :classify_all)
        AND (photos.model IS NOT :model OR photos.landmark_probability >= :prefilter
             AND photos.prefilter IS NOT NULL
             OR photos.top LIKE '[%' AND NOT has_embedding(listed.uri, listed.size, listed.version)
            )) END)
ORDER BY max(ifnull(photos.scan, 0), ifnull(retries.scan, 0)), listed.uri
"""
# Whether anything is known of a photo: by its name, or perhaps by its content under another one.
IS_KNOWN = """
SELECT 1 FROM photos WHERE uri = :uri UNION ALL SELECT 1 FROM retries WHERE uri = :uri
UNION ALL SELECT 1 FROM photos INDEXED BY photos_by_content
    WHERE size = :size AND content_key IS NOT NULL AND scan IS NOT :scan LIMIT 1
"""
# A photo that was tried in this scan is not tried twice.
PENDING_PAGE = """
SELECT pending.id, listed.uri, listed.size, listed.version, listed.sidecars
FROM pending JOIN listed USING (uri) LEFT JOIN photos USING (uri) LEFT JOIN retries USING (uri)
WHERE pending.id > :last AND photos.scan IS NOT :scan AND retries.scan IS NOT :scan
ORDER BY pending.id LIMIT :page
"""
# Photos whose prediction is kept: an older geotag read their metadata, or they are not known by
# name and one of the same size was classified.
MOVED_PAGE = f"""
SELECT pending.id, listed.uri, listed.size, listed.version, listed.sidecars
FROM pending JOIN listed USING (uri) LEFT JOIN photos USING (uri)
WHERE pending.id > :last AND pending.id <= :most AND CASE WHEN {_STALE} THEN EXISTS (
    SELECT 1 FROM photos AS other INDEXED BY photos_by_content
    WHERE other.size = listed.size AND other.content_key IS NOT NULL)
    ELSE photos.top IS NOT NULL AND {_IS_OLD} END
ORDER BY pending.id LIMIT :page
"""
COUNT_WAITING = f"""
SELECT count(*) FROM retries JOIN listed USING (uri) WHERE NOT ({_IS_DUE})
"""
# What is known of the listed photos, and why the last try to read one again failed.
READINGS = f"""
SELECT {", ".join(f"photos.{name}" for name in READING_COLUMNS)},
    listed.size, listed.version, retries.reason
FROM listed CROSS JOIN photos USING (uri) LEFT JOIN retries USING (uri) ORDER BY listed.uri
"""
# The last entry for each photo; beside max() SQLite gives the other columns of its row.
LATEST_CLEARED = """
SELECT uri, run_id, picture, is_cleared, is_done, max(id) FROM cleared GROUP BY uri
"""
# Photos not known by name and version that have an entry, or the size of one that has.
PERHAPS_CLEARED = f"""
SELECT listed.uri, listed.size, listed.version FROM listed LEFT JOIN photos USING (uri)
WHERE ({_STALE}) AND (listed.uri IN (SELECT uri FROM cleared) OR listed.size IN (
    SELECT other.size FROM cleared JOIN photos AS other ON other.uri = cleared.uri))
ORDER BY listed.uri
"""
_FAILURES = """
SELECT ifnull(retries.reason, photos.failure_reason) AS why, count(*) AS failed, min(listed.uri)
FROM listed LEFT JOIN photos USING (uri) LEFT JOIN retries USING (uri)
WHERE why IS NOT NULL GROUP BY why ORDER BY failed DESC, why LIMIT ?
"""
_GUESSED = "SELECT top, model FROM photos WHERE uri = ? AND top IS NOT NULL"
CLOCK_OFFSETS = "SELECT camera, seconds FROM clock_offsets ORDER BY camera"


def commonest_failures(catalog: sqlite3.Connection, count: int) -> tuple[Failed, ...]:
    """The commonest reasons for which listed photos could not be read. Raises CatalogError."""
    with sqlite_errors():
        rows = catalog.execute(_FAILURES, (count,)).fetchall()
    return tuple(
        Failed(str(reason), photos, format_path(os.fsdecode(uri))) for reason, photos, uri in rows
    )


Recognised = dict[bytes, tuple[str, float, str, bool]]


def recognised_in(path: Path, photos: Iterable[bytes]) -> Recognised:
    """As `recognised`, in a catalog that is not open; nothing where there is none."""
    with suppress(sqlite3.Error), opened_to_read(path) as reader:
        return recognised(reader, photos)
    return {}


def recognised(reader: sqlite3.Connection, photos: Iterable[bytes]) -> Recognised:
    """The most likely landmark of these photos: slug, confidence, model, and whether it is a tag.

    The model is named as in tables. Photos of which the catalog knows none are left out.
    """
    found: Recognised = {}
    with suppress(sqlite3.Error):
        decided = list(decided_in(reader))
        names = _model_names(reader)
        for uri in photos:
            for top, model in reader.execute(_GUESSED, (uri,)):
                with suppress(TypeError, ValueError, KeyError, RecursionError):
                    slug, confidence = json.loads(top)[0]
                    name = names.get(model[:12], f"model-{model[:12]}")
                    least = min(d.least(slug) for d in decided if d.model == model)
                    found[uri] = str(slug), float(confidence), name, confidence >= least
    return found


def _model_names(reader: sqlite3.Connection) -> dict[str, str]:
    """The names of models in tables by the start of their SHA-256, as the last scans used them."""
    query = "SELECT json_extract(summary, '$.model') FROM scans WHERE json_valid(summary)"
    names = [str(name) for (name,) in reader.execute(f"{query} ORDER BY id")]
    return {name.rpartition("-")[2]: name for name in names}
