"""Joins a Ray cluster or starts one here, and tells when it has gone away."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

from geotag.errors import EngineError, MissingDependencyError

_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 5.0
_ABSENCE_SECONDS = 20.0
_GOES_ON = "what was read is kept, and the same command goes on"
_LAST_WORDS = (
    f"geotag: ended at once, as by Ray where the cluster goes away on this machine; {_GOES_ON}"
)
_TELL = "trap '' HUP INT TERM; read -r line || printf '%s\\n' \"$0\" >&2"
# What Ray keeps among temporary files at the least, while it runs.
_SESSION_BYTES = 8 * 2**20


class Watch:
    """Looks whether the head of the cluster and its part on this machine are there.

    Where one is not, Ray would wait for a minute with whatever asks it anything, and then end this
    process. A head that is started again in less than half of that is not missed.
    """

    def __init__(self, ray: Any) -> None:
        self._head, self._part = _addresses(ray)
        self._look_at = 0.0

    def expect_loss(self) -> None:
        """Look at the next check."""
        self._look_at = 0.0

    def check(self) -> None:
        """Every few seconds, raise EngineError where the cluster has gone away."""
        if time.monotonic() < self._look_at:
            return
        until = time.monotonic() + _ABSENCE_SECONDS
        while (reason := _missed(self._head)) and time.monotonic() < until:
            time.sleep(1)
        if reason := reason or _missed(self._part):
            raise EngineError(f"the Ray cluster has gone away ({reason}); {_GOES_ON}")
        self._look_at = time.monotonic() + _LOOK_SECONDS


def _missed(address: str) -> str:
    """Why nothing answers at an address; empty where something does, or there is no address."""
    try:
        _check_answers(address)
    except OSError as error:
        return f"{address}: {error.strerror or error}"
    return ""


@contextmanager
def joined_cluster(address: str | None) -> Iterator[Any]:
    """Join a cluster, or start one on this machine; Ctrl-C and SIGTERM stay ours."""
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("--runner ray", "ray") from None
    joined = ray.is_initialized()
    if not joined:
        with _kept_signals():
            try:
                place = address or os.environ.get("RAY_ADDRESS", "")
                _check_answers(place)
                if not place:
                    _check_room()
                ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
            except EngineError:
                raise
            except Exception as error:  # Ray raises what it likes
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                where = f"at {address}" if address else "on this machine"
                raise EngineError(
                    f"no Ray cluster {where} ({reason}); start one with `ray start --head`"
                ) from error
            # Despite log_to_driver=False, it prints what it says of lost workers, and where the
            # table may go: to standard output.
            ray._private.worker._worker_logs_enabled = False
    with _last_words():  # it may also end the process while we leave it
        try:
            with _explained(ray):
                yield ray
        finally:
            if not joined:
                ray.shutdown()
                ray._private.worker._worker_logs_enabled = True


@contextmanager
def _last_words() -> Iterator[None]:
    """Where its part on this machine goes away, Ray ends this process at once. No code of its own
    runs then, so that a shell, which waits for the end of its input, tells why."""
    try:
        shell = subprocess.Popen(
            ("/bin/sh", "-c", _TELL, _LAST_WORDS), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
    except OSError:  # there is none
        yield
        return
    try:
        yield
    finally:
        shell.communicate(b"\n")


@contextmanager
def _explained(ray: Any) -> Iterator[None]:
    """What Ray itself cannot do is an EngineError, such as for want of room."""
    try:
        yield
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", error)
        if isinstance(cause, ray.exceptions.RayTaskError) or not isinstance(
            cause, ray.exceptions.RayError
        ):
            raise
        reason = f"{type(cause).__name__}: {cause}".splitlines()[0]
        raise EngineError(f"the Ray cluster cannot go on ({reason}); see `ray status`") from error


def _addresses(ray: Any) -> tuple[str, str]:
    """Where the head of the cluster and its part on this machine answer. Through ray:// neither
    can be asked, and what is asked of Ray fails by itself."""
    if ray.util.client.ray.is_connected():
        return "", ""
    context = ray.get_runtime_context()
    (own,) = (node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    return context.gcs_address, f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}"


def _check_answers(address: str) -> None:
    """Raises OSError and ValueError where nothing answers: Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def _check_room() -> None:
    """Raise EngineError where Ray has no room to begin with: it would wait long, and not say so."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or tempfile.gettempdir()
    if shutil.disk_usage(folder).free < _SESSION_BYTES:
        raise EngineError(
            f"Ray needs {_SESSION_BYTES >> 20} MiB for its logs in {folder}, which has less left: "
            "set RAY_TMPDIR to a folder that has"
        )


@contextmanager
def _kept_signals() -> Iterator[None]:
    """Signals stay ours. What Ray starts meanwhile heeds none that this process gets as well, such
    as systemd's SIGTERM to all of a service: what is in hand can be finished."""
    if current_thread() is not main_thread():
        yield
        return
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    with _blocked_signals():
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP wait for the end of this, and never reach a process that is begun in it.
    Of SIGINT Ray itself takes care."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
