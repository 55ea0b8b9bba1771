"""What a scan can be told, and the limits and choices of each option: checked here alone."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from geotag.decision import TOP_K_LIMIT
from geotag.engines import ENGINES
from geotag.engines.base import EngineOptions
from geotag.errors import UsageError
from geotag.model.spec import PRECISION
from geotag.places.private import Zone, check_zone
from geotag.places.sighting import Method
from geotag.places.vicinity import METHOD as VICINITY
from geotag.runners import RUNNERS
from geotag.sources.base import Filters
from geotag.sources.shards import Shard


class Limits(NamedTuple):
    """The least and the most that a number may be; `most` None is no limit."""

    least: int
    most: int | None = None
    is_whole: bool = False


LIMITS = {
    "min_precision": Limits(0, 1),
    "threshold": Limits(0, 1),
    "prevalence": Limits(0, 1),
    "min_confidence": Limits(0, 1),
    "top_k": Limits(1, TOP_K_LIMIT, True),
    "k": Limits(1, 1000, True),
    "limit": Limits(0, None, True),
    "max_time": Limits(0),
    "workers": Limits(1, 256, True),
    "batch_size": Limits(1, 1024, True),
    "samples": Limits(50, 100_000, True),
}
CHOICES = {
    "engine": ("auto", *ENGINES),
    "dtype": ("auto", "float32", "bfloat16", "float16"),
    "runner": tuple(sorted(RUNNERS)),
    "clear": ("landmark", VICINITY, *(method.value for method in Method)),
}
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


class ScanOptions(NamedTuple):
    """All that a scan can be told; the defaults are the command line's.

    `max_time` is in seconds.
    """

    filters: Filters = Filters()
    catalog: str | Path | None = None
    model: Path | None = None
    engine_options: EngineOptions = EngineOptions()
    workers: int | None = None
    runner: str = "local"
    classify_all: bool = False
    min_precision: float = PRECISION
    threshold: float | None = None
    top_k: int = 5
    limit: int | None = None
    max_time: float | None = None
    rescan: bool = False
    prune: bool = False
    allow_empty: bool = False
    replace: bool = False
    address: str | None = None
    cascade: bool = True
    places: bool = False
    tracks: tuple[str, ...] = ()
    clock_offsets: tuple[tuple[str, float], ...] = ()
    private: tuple[Zone, ...] = ()
    language: str | None = None
    shard: Shard | None = None
    prevalence: float | None = None
    embeddings: str | None = None
    match: bool = False

    @property
    def embeds(self) -> bool:
        """Whether the embeddings of photos are asked for, or needed."""
        return self.embeddings is not None or self.match


def parse_since(text: str) -> float:
    """A day or time such as 2026-11-01 or 2026-11-01T12:00+01:00 (UTC unless it says otherwise), in
    seconds since 1970. Raises UsageError."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"since {text[:60]!r} is no day or time such as 2026-11-01 or 2026-11-01T12:00+01:00"
        ) from None


def check_options(options: ScanOptions) -> None:
    """Raise UsageError for the first option whose value is out of its limits or no choice."""
    check(**options._asdict(), **options.engine_options._asdict())
    if options.catalog is not None and not os.fspath(options.catalog):
        raise UsageError("catalog is an empty name (of a variable that is not set?)")
    if options.shard is not None and options.places:
        raise UsageError(
            "photos are placed by other photos, which may be in other shards: scan shards without "
            "--places (places=True)"
        )
    if options.embeddings is not None and options.private:
        raise UsageError(
            "embeddings tell what private photos show, too: leave out --embeddings or --private"
        )
    for zone in options.private:
        check_zone(zone)
    for name in ("tracks", "clock_offsets", "language", "match"):
        if getattr(options, name) and not options.places:
            raise UsageError(
                f"{name} is only for placing photos: give --places (places=True) as well"
            )


def check(**values: Any) -> None:
    """Raise UsageError for the first value out of its option's limits or choices.

    None means that an option was not given; options that take anything are passed over.
    """
    for name, value in values.items():
        if value is None:
            continue
        if name in LIMITS:
            _check_number(name, value, LIMITS[name])
        elif name in CHOICES and value not in CHOICES[name]:
            raise UsageError(f"{name} must be one of {', '.join(CHOICES[name])}, not {value!r}")
        elif name == "device" and not _DEVICE.fullmatch(str(value)):
            raise UsageError(f"device must be auto, cpu, mps, cuda or cuda:N, not {value!r}")


def _check_number(name: str, value: Any, limits: Limits) -> None:
    least, most, is_whole = limits
    is_number = isinstance(value, Integral if is_whole else Real) and not isinstance(value, bool)
    if not (is_number and least <= value and (most is None or value <= most)):
        kind = "a whole number" if is_whole else "a number"
        bounds = f"at least {least:g}" if most is None else f"from {least:g} to {most:g}"
        raise UsageError(f"{name} must be {kind} {bounds}, not {value!r}")
