import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskkit._training.allocator import keep_freed_memory

ROOT = Path(__file__).parents[2]
BLOCK_BYTES = 80_000_000


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def resident_after_block():
    """Return the memory of the process after a large block was filled and freed."""
    torch.zeros(BLOCK_BYTES // 4)
    return resident_bytes()


def check_freed_memory():
    usual = resident_after_block()
    with keep_freed_memory():
        kept = resident_after_block()
    assert kept > usual + BLOCK_BYTES / 2
    assert resident_bytes() < kept - BLOCK_BYTES / 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is changed")
def test_freed_memory_is_kept_only_inside_the_context():
    # In a process of its own, because what other tests leave in the heap is memory that a block may take.
    code = "from tests.training.test_allocator import check_freed_memory; check_freed_memory()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    with keep_freed_memory():
        assert float(torch.ones(3).sum()) == 3
