"""What runs the network: one dict of names to engines."""

from __future__ import annotations

import _thread
import ctypes
import os
import sys
import threading
from importlib import import_module
from importlib.util import find_spec

from geotag.engines.base import Engine, EngineOptions
from geotag.errors import EngineError, MissingDependencyError
from geotag.model.checkpoint import Checkpoint

ENGINES = {
    "pytorch": "PyTorchEngine",
    "openvino": "OpenVINOEngine",
    "onnx": "OnnxEngine",
}
# Engines for plain processors with what they import, the fastest first.
_FOR_PROCESSORS = {"openvino": "openvino", "onnx": "onnxruntime"}
_THREADS = 8  # of an engine beside those of its processors
LONGEST_START = 10.0  # seconds, of one thread


def build_engine(checkpoint: Checkpoint, options: EngineOptions, streams: int = 1) -> Engine:
    """The engine by name; `auto` is the fastest that is installed and fits the machine.

    `streams` is how many threads will call `predict` at once; the engine divides the processors
    among them, or offers fewer streams. Raises EngineError for an unknown name,
    MissingDependencyError for one that is not installed.
    """
    name = choose_engine(options) if options.engine == "auto" else options.engine
    if name not in ENGINES:
        raise EngineError(f"unknown engine {name!r}; known: auto, {', '.join(sorted(ENGINES))}")
    _check_threads()
    # Only the engine's own module imports what it runs on.
    module = import_module(f"geotag.engines.{name}")
    try:
        engine: Engine = getattr(module, ENGINES[name])(checkpoint, options, streams)
    except RuntimeError as error:  # of the library, at whose end it says what is wrong
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise EngineError(
            f"{name} cannot run the network here ({reason}); is there memory left? Choose another "
            "--engine, or fewer --workers"
        ) from error
    return engine


def _check_threads() -> None:
    """Raise EngineError where the system lets this user start too few threads.

    The libraries below then end the process, or wait for their threads for ever.
    """
    needed, count = _THREADS + 2 * (os.cpu_count() or 1), 0
    may_end = threading.Event()
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    def hold() -> None:
        begun.release()
        may_end.wait()
        ended.release()

    try:
        for _ in range(needed):
            # Thread.start would wait for ever for one without the memory to begin.
            _thread.start_new_thread(hold, ())
            if not begun.acquire(timeout=LONGEST_START):
                raise RuntimeError
            count += 1
    except RuntimeError:
        raise EngineError(
            f"the network needs up to {needed} threads, and this user may start {count} "
            "more: raise the limit (ulimit -u or -v, TasksMax= of the systemd unit)"
        ) from None
    finally:
        may_end.set()
        for _ in range(count):
            ended.acquire(timeout=LONGEST_START)


def check_installed(options: EngineOptions) -> None:
    """Raise MissingDependencyError where an engine is asked for whose package is not there."""
    module = _FOR_PROCESSORS.get(options.engine)
    if module is not None and find_spec(module) is None:
        raise MissingDependencyError(f"--engine {options.engine}", options.engine)


def choose_engine(options: EngineOptions) -> str:
    """PyTorch where there is a GPU for it, else the fastest installed engine for processors."""
    on_processor = options.device == "cpu" or (options.device == "auto" and not has_gpu())
    if on_processor:
        for name, module in _FOR_PROCESSORS.items():
            is_offered = name == "openvino" or options.dtype in ("auto", "float32")
            if is_offered and find_spec(module) is not None:
                return name
    return "pytorch"


def has_gpu() -> bool:
    """Whether PyTorch may find a GPU here; asks the drivers, for importing torch takes seconds."""
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    if os.path.exists("/dev/kfd"):  # AMD's driver
        return True
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
            return False
        return count.value > 0
    except (OSError, AttributeError):
        return False
