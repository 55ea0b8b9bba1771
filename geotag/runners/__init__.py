"""Who does the work: one dict of names to runners."""

from __future__ import annotations

from collections.abc import Callable

from geotag.runners.base import Job, Runner
from geotag.runners.local import LocalRunner
from geotag.sources.base import Source

RUNNERS: dict[str, Callable[[Source, Job], Runner]] = {"local": LocalRunner}
