"""Memory that training frees and needs again at once: kept, not given back to the system."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, in this process; False where the C library has no mallopt.

    glibc maps each large block anew and gives it back when it is freed, so that every step of a
    training on a CPU pays for the same pages again, zeroed one by one: a third of the time of a
    network whose activations are hundreds of megabytes. Source: mallopt(3), M_MMAP_MAX and
    M_TRIM_THRESHOLD.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _NEVER))
