"""Logs on standard error: lines for people, or one JSON object a line for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from geotag.cli.streams import one_line
from geotag.files.credentials import redacted

FORMATS = ("text", "json")


class JsonFormatter(logging.Formatter):
    """time (UTC), level, logger, message; summary of a run, error for a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if hasattr(record, "summary"):
            fields["summary"] = record.summary
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """One line each, whatever the names in it hold."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        """The message, escaped; a traceback follows as it is."""
        return one_line(redacted(super().formatMessage(record)))


def start_logging(verbose: bool = False, quiet: bool = False, log_format: str = "text") -> None:
    """Log to standard error: warnings, or all with -v or as JSON, or errors alone with --quiet.

    Of other libraries only warnings: what they say of their requests may hold credentials.
    """
    handler = logging.StreamHandler(sys.stderr)
    as_json = log_format == "json"
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter("geotag: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    level = logging.INFO if verbose or as_json else logging.WARNING
    logging.getLogger("geotag").setLevel(logging.ERROR if quiet else level)
