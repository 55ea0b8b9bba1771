"""How far a run is: a bar on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Self, TypeVar

from geotag.cli.signals import Stop
from geotag.pipeline import Progress

_Item = TypeVar("_Item")


class Bar(Progress):
    """A scan's progress: a tqdm bar on a terminal."""

    def __init__(self, stop: Stop, visible: bool) -> None:
        self.stop = stop
        self.visible = visible
        self.bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def started(self, pending: int) -> None:
        if self.visible:
            from tqdm import tqdm

            self.bar = tqdm(total=pending, unit="photo", dynamic_ncols=True, smoothing=0.1)

    def advanced(self, readings: int) -> None:
        if self.bar is not None:
            self.bar.update(readings)

    def stop_requested(self) -> bool:
        return self.stop.signal is not None


def with_bar(items: Iterable[_Item], count: int, quiet: bool) -> Iterable[_Item]:
    """The same items, counted by a bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    bar: Iterable[_Item] = tqdm(items, total=count, unit="photo", dynamic_ncols=True)
    return bar
