import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskkit._training.allocator import keep_freed_memory

ROOT = Path(__file__).parents[2]
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


def check_freed_memory():
    usual = count_faults()
    with keep_freed_memory():
        allocate_and_free(5)  # the heap grows until the block fits
        assert count_faults() < usual / 5
        kept = resident_bytes()
    assert resident_bytes() < kept - BLOCK_BYTES / 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is changed")
def test_freed_memory_is_kept_only_inside_the_context():
    # In a process of its own, because what other tests leave in the heap makes it grow more often.
    code = "from tests.training.test_allocator import check_freed_memory; check_freed_memory()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    with keep_freed_memory():
        assert float(torch.ones(3).sum()) == 3
