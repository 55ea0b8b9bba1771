"""Who does the work: one dict of names to runners."""

from __future__ import annotations

from collections.abc import Callable

from geotag.runners.base import Job, Runner
from geotag.runners.local import LocalRunner
from geotag.sources import Library


def _ray(library: Library, job: Job) -> Runner:
    from geotag.runners.ray import RayRunner

    return RayRunner(library, job)


RUNNERS: dict[str, Callable[[Library, Job], Runner]] = {"local": LocalRunner, "ray": _ray}
