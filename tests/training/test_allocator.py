import platform
from pathlib import Path

import pytest
import torch

from maskkit._training.allocator import keep_freed_memory

BLOCK_BYTES = 80_000_000


def allocate_and_free(n_times):
    for _ in range(n_times):
        torch.zeros(BLOCK_BYTES // 4)


def count_faults():
    """Return how many pages the system has to fill while a large block is allocated and freed ten times."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    allocate_and_free(10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is changed")
def test_freed_memory_is_kept_only_inside_the_context():
    usual = count_faults()
    with keep_freed_memory():
        allocate_and_free(5)  # the heap grows until the block fits
        # What earlier tests left in the heap may make it grow once more.
        assert min(count_faults() for _ in range(4)) < usual / 5
        kept = resident_bytes()
    assert resident_bytes() < kept - BLOCK_BYTES / 2


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    with keep_freed_memory():
        assert float(torch.ones(3).sum()) == 3
