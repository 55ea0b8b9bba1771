"""Signals: what ends a command cleanly, and what lets it finish what it has in hand."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

from geotag.errors import StoppedError

# Ctrl-C, what systemd and Docker send, and the end of a terminal or of its connection.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_Handler = Callable[[int, FrameType | None], None]
_log = logging.getLogger(__name__)


class EndedError(KeyboardInterrupt):
    """A signal ends the command: what it began is cleaned up on the way out, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Stop:
    """Which signal asked to stop, if any."""

    signal: int | None = None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let signals raise EndedError, where the system would end this process at once."""

    def end(number: int, frame: FrameType | None) -> None:
        raise EndedError(number)

    with _handled(end):
        yield


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """The first signal finishes what is under way; a second one raises EndedError, and a third one
    ends this process, whatever still keeps it."""
    stop, more = Stop(), 0

    def request(number: int, frame: FrameType | None) -> None:
        nonlocal more
        if stop.signal is not None:
            more += 1
            if more > 1:
                os._exit(128 + number)
            raise EndedError(number)
        stop.signal = number
        _log.warning("stopping once the photos in progress are done; ask again to stop at once")

    with _handled(request):
        try:
            yield stop
        except StoppedError as error:
            if stop.signal is not None:
                error.exit_code = 128 + stop.signal
            raise


@contextmanager
def _handled(handler: _Handler) -> Iterator[None]:
    """Handle the signals that this process was not told to ignore, as by nohup or a shell's &."""
    names = _NAMES if current_thread() is main_thread() else ()  # no other can handle any
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number, old in previous.items() if old is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, previous[number])
