import platform
from pathlib import Path

import pytest
import torch

from maskkit._training.malloc import freed_memory_kept

BLOCK_BYTES = 80_000_000


def take_and_give_back(n_times):
    for _ in range(n_times):
        torch.zeros(BLOCK_BYTES // 4)


def count_faults():
    """Pages that the system has to fill while a large block is taken and given back ten times."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    take_and_give_back(10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="nothing is done without glibc")
def test_freed_memory_is_kept_only_meanwhile():
    usual = count_faults()
    with freed_memory_kept():
        take_and_give_back(5)  # the heap grows until the block has its place
        assert count_faults() < usual / 5
        kept = resident_bytes()
    assert resident_bytes() < kept - BLOCK_BYTES / 2


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    with freed_memory_kept():
        assert float(torch.ones(3).sum()) == 3
