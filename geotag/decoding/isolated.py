"""Decodes photos in processes of their own: a decoder that crashes or hangs costs its photo alone.

A process reads requests from its standard input and replies on its standard output: a line of JSON
each, followed by the photo's bytes, or by its pixels.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from geotag.decoding.loader import (
    decode,
    decode_picture,
    decode_thumbnail,
    thumbnail_picture,
    upright_size,
)
from geotag.decoding.memory import PICTURES, MemoryBudget
from geotag.errors import GeotagError, MissingDependencyError, PhotoError, TransientPhotoError
from geotag.metadata.header import Header, Thumbnail
from geotag.records import Fit, Metadata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECONDS = 60
_PRINTED_LIMIT = 2**20
# So little that nobody is asked for it: most JPEGs, which are decoded to scale.
_SMALL = 4 * 2**20
# A photo goes through a pipe in fewer steps; of 1 MiB a user may have but 64 (pipe(7)).
_PIPE_SIZE = 2**18
_START = "import sys; sys.path[:] = sys.argv[1:]; import geotag.decoding.isolated as i; i.serve()"
# Signals by which something else ends a process; any other one is the decoder's own fault.
_FROM_OUTSIDE = ("SIGHUP", "SIGINT", "SIGKILL", "SIGTERM")
_log = logging.getLogger(__name__)


class IsolatedDecoder:
    """Decodes in processes that are kept for the next photo, as many as there are callers at once.

    Where no process can be started, photos are decoded in the caller's thread.
    """

    def __init__(self, seconds: int = SECONDS) -> None:
        self._seconds = seconds
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._can_start = bool(sys.executable)

    def decode(self, data: bytes, header: Header, input_size: int, fit: Fit) -> NDArray[np.uint8]:
        """As `loader.decode`, from any thread. Raises PhotoError also for a crash, and
        TransientPhotoError where it takes too long."""
        with self._process() as process:
            if process is None:
                return decode(data, header, input_size, fit)
            return process.decode(data, header._replace(thumbnail=None), input_size, fit)

    def decode_thumbnail(
        self, jpeg: bytes, header: Header, input_size: int, fit: Fit
    ) -> NDArray[np.uint8]:
        """As `loader.decode_thumbnail`, and `decode`."""
        with self._process() as process:
            if process is None:
                return decode_thumbnail(jpeg, header, input_size, fit)
            return process.decode(jpeg, header, input_size, fit)

    def upright_size(self, data: bytes, header: Header, fit: Fit) -> tuple[int, int]:
        """As `loader.upright_size`, and `decode`."""
        with self._process() as process:
            if process is None:
                return upright_size(data, header, fit)
            return process.upright_size(data, header, fit)

    def close(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().end()

    @contextmanager
    def _process(self) -> Iterator[_Process | None]:
        """A process for one photo; None where none can be started."""
        process = self._take()
        try:
            yield process
        finally:
            if process is not None and process.is_running():
                self._idle.put(process)

    def _take(self) -> _Process | None:
        """A process that waits for work, or a new one."""
        with suppress(Empty):
            while True:
                process = self._idle.get_nowait()
                if process.is_running():
                    return process
        try:
            return _Process(self._seconds) if self._can_start else None
        except OSError as error:
            self._can_start = False
            _log.warning("photos are decoded without a process of their own: %s", error)
            return None


class _Process:
    """A process that decodes one photo after the other. Raises OSError where it does not start."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._child = subprocess.Popen(
            [sys.executable, "-c", _START, *map(os.path.abspath, sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what the libraries print is told with the reply
            start_new_session=True,  # Ctrl-C is for this process, which finishes what it began
        )
        assert self._child.stdin is not None and self._child.stdout is not None
        self._requests, self._replies = self._child.stdin, self._child.stdout
        _enlarge(self._requests)
        if not self._replies.readline():
            raise OSError(f"it ended with {self.end()}")

    def is_running(self) -> bool:
        return self._child.poll() is None

    def decode(self, data: bytes, header: Header, input_size: int, fit: Fit) -> NDArray[np.uint8]:
        """A thumbnail where the header has one, else a photo.

        Raises what `loader.decode` raises, and PhotoError where the process does not survive.
        """
        import numpy as np

        photo_size = header.thumbnail.photo_size if header.thumbnail else None
        with self._survived():
            reply = self._reply(data, header, input_size=input_size, fit=fit, photo_size=photo_size)
            pixels = np.frombuffer(self._replies.read(reply["bytes"]), np.uint8)
            return pixels.reshape(input_size, input_size, 3)

    def upright_size(self, data: bytes, header: Header, fit: Fit) -> tuple[int, int]:
        """As it is seen, of the part that a fit leaves; raises what `decode` raises."""
        with self._survived():
            width, height = self._reply(data, header, fit=fit)["size"]
            return width, height

    @contextmanager
    def _survived(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # it is gone, perhaps in the middle of a reply
            raise _failure(self.end(), self._seconds) from None

    def _reply(self, data: bytes, header: Header, **more: object) -> dict[str, Any]:
        request = {
            "format": header.format,
            "orientation": header.metadata.orientation,
            "seconds": self._seconds,
            **more,
        }
        reply = self._ask(request, data)
        if "memory" in reply:
            with PICTURES.hold(reply["memory"]):
                reply = self._ask({})
        if "error" in reply:
            raise _ERRORS[reply["error"]](*reply["arguments"])
        return reply

    def _ask(self, request: Mapping[str, object], data: bytes = b"") -> dict[str, Any]:
        _send(self._requests, request, data)
        reply: dict[str, Any] = json.loads(self._replies.readline())
        return reply

    def end(self) -> str:
        """Kill it, if it runs; returns the name of the signal that ended it, or its exit code."""
        with suppress(OSError):
            self._requests.close()  # what waits for a request ends by itself
        self._child.kill()
        code = self._child.wait()
        self._replies.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


_ERRORS: dict[str, type[GeotagError]] = {
    error.__name__: error for error in (PhotoError, TransientPhotoError, MissingDependencyError)
}


def _failure(end: str, seconds: int) -> PhotoError:
    if end == "SIGALRM":
        return TransientPhotoError(f"not decoded within {seconds} seconds")
    if end in _FROM_OUTSIDE:
        return TransientPhotoError(f"its decoder was ended from outside ({end})")
    return PhotoError(f"damaged: its decoder crashed ({end})")


def _enlarge(pipe: IO[bytes]) -> None:
    with suppress(ImportError, AttributeError, OSError):  # on Linux alone
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


def _send(file: IO[bytes], fields: Mapping[str, object], data: bytes = b"") -> None:
    file.write(json.dumps({**fields, "bytes": len(data)}).encode() + b"\n")
    file.write(data)
    file.flush()


def serve() -> None:
    """Decode what comes on standard input, until it ends. The main function of a process."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    printed = _Printed()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the photo that is begun is finished
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _forbid_core_dumps()
    Image.MAX_IMAGE_PIXELS = None  # the memory counts that a photo takes, not its pixels
    _send(replies, {})
    budget = _ParentsBudget(requests, replies)
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        budget.seconds = request["seconds"]
        _set_alarm(budget.seconds)
        try:
            answer = _answer(request, data, budget)
        except MissingDependencyError as error:
            _send_error(replies, error, error.purpose, error.extra)
        except PhotoError as error:
            _send_error(replies, error, str(error) + printed.take())
        else:
            printed.take()
            _send(replies, *answer)
        _set_alarm(0)


def _answer(
    request: Mapping[str, Any], data: bytes, budget: MemoryBudget
) -> tuple[dict[str, object], bytes]:
    """What is sent back: pixels, or the size where no pixels are asked for."""
    header = Header(request["format"], Metadata(orientation=request["orientation"]))
    fit = request["fit"]
    if "input_size" not in request:
        return {"size": upright_size(data, header, fit)}, b""
    input_size = request["input_size"]
    if request["photo_size"] is None:
        return {}, decode_picture(data, header, input_size, fit, budget).tobytes()
    width, height = request["photo_size"]
    header = header._replace(thumbnail=Thumbnail(b"", (width, height)))
    return {}, thumbnail_picture(data, header, input_size, fit).tobytes()


def _send_error(replies: IO[bytes], error: GeotagError, *arguments: str) -> None:
    _send(replies, {"error": type(error).__name__, "arguments": arguments})


class _Printed:
    """What libraries in C print of a photo: often all that tells what is wrong with it."""

    def __init__(self) -> None:
        self._descriptor, writer = os.pipe()
        for descriptor in (self._descriptor, writer):
            os.set_blocking(descriptor, False)  # when it is full, what comes is lost
        os.dup2(writer, 1)
        os.dup2(writer, 2)

    def take(self) -> str:
        """Its first line in brackets, or "" where there is none."""
        printed = b""
        with suppress(BlockingIOError):
            printed = os.read(self._descriptor, _PRINTED_LIMIT)
        lines = printed.decode("utf-8", "replace").splitlines()
        # Pillow gives libtiff no better name of the file; addresses differ from run to run.
        line = next(iter(lines), "").removeprefix("tempfile.tif: ").strip()[:200]
        return f" ({line})" if line.isprintable() and line and "0x" not in line else ""


class _ParentsBudget(MemoryBudget):
    """The budget of all workers is kept by the process that asks for photos."""

    def __init__(self, requests: IO[bytes], replies: IO[bytes]) -> None:
        super().__init__(PICTURES.limit)
        self.requests, self.replies = requests, replies
        self.seconds = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until the parent grants it, unless it is little; it is given back with the reply."""
        if size <= _SMALL:
            yield
            return
        self.check(size)
        _set_alarm(0)
        _send(self.replies, {"memory": size})
        self.requests.readline()
        _set_alarm(self.seconds)
        yield


def _set_alarm(seconds: int) -> None:
    """End this process by SIGALRM unless it is told otherwise in time."""
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(seconds)


def _forbid_core_dumps() -> None:
    with suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
