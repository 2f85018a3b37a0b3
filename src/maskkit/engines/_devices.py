"""Devices, precisions, random seeds and threads of PyTorch."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# The global generator is shared by all threads, so concurrent fits take turns in using it.
_GENERATOR_LOCK = threading.RLock()

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(device: str) -> torch.device:
    """Return the device of a parameter `device`: ``"auto"`` (CUDA, else MPS, else CPU) or a torch device.

    Raises ValueError if the name is unknown, or the device is not available.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as exc:
        raise ValueError(f"device={device!r} is unknown; use 'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'.") from exc
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (chosen.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(chosen.type, False):
        raise ValueError(f"device={device!r} is not available on this machine; use device='auto'.")
    return chosen


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products for a parameter `precision`.

    ``"auto"`` is bfloat16 where the hardware supports it (CUDA from compute capability 8.0, CPUs with
    AVX-512 BF16 or AMX), else float32.

    Raises ValueError if the name is unknown, or float16 is requested on a CPU.
    """
    if precision == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; use 'auto', {', '.join(map(repr, PRECISIONS))}.")
    if precision == "float16" and device.type == "cpu":
        raise ValueError("precision='float16' needs a GPU; on a CPU use 'auto', 'bfloat16' or 'float32'.")
    return PRECISIONS[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a mixed-precision context, which does nothing for float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators within a context, and restore their states afterwards.

    The global generators are needed because weight initialization and dropout of ``torch.nn`` take no
    other. The generator of `device` is seeded besides the CPU's.
    """
    kind = device.type if device is not None and device.type != "cpu" else None
    forked: dict[str, Any] = {"devices": [device], "device_type": kind} if kind else {"devices": []}
    with _GENERATOR_LOCK, torch.random.fork_rng(**forked):
        torch.random.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one CPU thread within a context.

    Small training steps gain nothing from more threads. On a busy machine, threads that wait for each
    other after every step take twenty times as long (measured on two cores).
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes products of bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Older versions of torch do not report capabilities; float32 is always correct.
        has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return False
