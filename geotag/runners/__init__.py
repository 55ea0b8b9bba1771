"""Who does the work: one dict of names to runners."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from geotag.errors import MissingDependencyError
from geotag.runners.base import Job, Runner
from geotag.runners.local import LocalRunner
from geotag.sources import Library


def _ray(library: Library, job: Job) -> Runner:
    from geotag.runners.ray import RayRunner

    return RayRunner(library, job)


def check_runner(name: str) -> None:
    """Raise MissingDependencyError where the package of a runner is not there."""
    if name == "ray" and find_spec("ray") is None:
        raise MissingDependencyError("--runner ray", "ray")


RUNNERS: dict[str, Callable[[Library, Job], Runner]] = {"local": LocalRunner, "ray": _ray}
