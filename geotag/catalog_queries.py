"""The catalog's questions in SQL: what is listed, what must be read, what was perhaps moved."""

from __future__ import annotations

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
                AND json_extract(photos.top, '$[0][1]') < :glance))
   OR (:rescan AND photos.scan IS NOT :scan))
"""
# Photos not known by name of which one of the same size was classified.
PERHAPS_MOVED = f"""
FROM listed LEFT JOIN photos USING (uri)
WHERE ({_STALE}) AND EXISTS (
    SELECT 1 FROM photos AS other INDEXED BY photos_by_content
    WHERE other.size = listed.size AND other.content_key IS NOT NULL)
"""
