"""Freed memory is kept: a step of training does not pay for its pages again."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Counts the pages that the system hands out for a block of 64 MiB that is taken 20 times.
_PAGES = """
import ctypes, resource
from training.fitting.memory import keep_freed_memory

if {keep} and not keep_freed_memory():
    print(-1)
    raise SystemExit
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
size = 64 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _pages(keep: bool) -> int:
    script = _PAGES.format(keep=keep)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="counts pages as POSIX systems do")
def test_a_block_taken_again_has_its_pages_already() -> None:
    kept = _pages(keep=True)
    if kept < 0:
        pytest.skip("this C library has no mallopt")
    assert kept * 5 < _pages(keep=False)
