"""How far a run is, and when to stop: a bar on the terminal, Ctrl-C and SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self, TypeVar

from geotag.errors import StoppedError
from geotag.pipeline import Progress

_Item = TypeVar("_Item")
_log = logging.getLogger(__name__)


class Stop:
    """Which signal asked to stop, if any."""

    signal: int | None = None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM finishes what is under way; a second one ends at once."""
    stop = Stop()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise KeyboardInterrupt
        stop.signal = number
        _log.warning("stopping when the photos under way are done; once more stops at once")

    previous = {
        number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    except StoppedError as error:
        if stop.signal is not None:
            error.exit_code = 128 + stop.signal
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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
        """Show the bar."""
        if self.visible:
            from tqdm import tqdm

            self.bar = tqdm(total=pending, unit="photo", dynamic_ncols=True, smoothing=0.1)

    def advanced(self, readings: int) -> None:
        """Move the bar on."""
        if self.bar is not None:
            self.bar.update(readings)

    def stop_requested(self) -> bool:
        """Whether a signal came."""
        return self.stop.signal is not None


def with_bar(items: Iterable[_Item], count: int, quiet: bool) -> Iterable[_Item]:
    """The same items, counted by a bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    bar: Iterable[_Item] = tqdm(items, total=count, unit="photo", dynamic_ncols=True)
    return bar
