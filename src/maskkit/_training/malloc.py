"""How freed memory is kept for the next step."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc keep freed memory meanwhile, where glibc is what allocates; elsewhere do nothing.

    Each step of a training asks for the same large blocks. glibc maps those of 32 MB and more anew each
    time, and the system fills every page with zeros first: a fifth of a step of EfficientNet-Lite0 at
    224 px went into that.
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        yield
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        # glibc's defaults; its thresholds would have grown to these by themselves (mallopt(3)).
        mallopt(_MMAP_MAX, 65536)
        mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(_TRIM_THRESHOLD, 64 * 2**20)
        trim(0)
