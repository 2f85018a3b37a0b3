"""The C library's allocator during training."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Parameter numbers of mallopt in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Make glibc keep freed memory inside the context; do nothing with other C libraries.

    Every training step allocates the same large blocks. By default, glibc maps blocks of 32 MB and more anew each
    time, and the system fills every page with zeros first, which takes a fifth of a fit (docs/guides/benchmark.md).
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # The C library is not glibc.
        yield
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        # The default of glibc, and the maxima to which it raises its own thresholds as a program runs (mallopt(3)).
        mallopt(_MMAP_MAX, 65536)
        mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(_TRIM_THRESHOLD, 64 * 2**20)
        trim(0)
