"""Where torch computes, how precisely, and with which random numbers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# There is one generator for all threads; fits in threads take turns, or their numbers would mix.
_TURNS = threading.RLock()

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(device: str) -> torch.device:
    """Turn the parameter `device` into a device that exists.

    Parameters
    ----------
    device : str
        ``"auto"`` (CUDA, else MPS, else CPU) or a torch device such as ``"cpu"``, ``"cuda:1"``.

    Raises
    ------
    ValueError
        If the name is no device, or its hardware is absent.
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
    """Turn the parameter `precision` into the type that matrix products are computed in.

    ``"auto"`` is bfloat16 where the hardware multiplies it natively (CUDA from compute capability
    8.0, CPUs with AVX-512 BF16 or AMX), else float32.

    Raises
    ------
    ValueError
        If the word is unknown, or float16 is asked for on a CPU.
    """
    if precision == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; use 'auto', {', '.join(map(repr, PRECISIONS))}.")
    if precision == "float16" and device.type == "cpu":
        raise ValueError("precision='float16' needs a GPU; on a CPU use 'auto', 'bfloat16' or 'float32'.")
    return PRECISIONS[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Open a mixed-precision context; it does nothing for float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Lend torch's global random numbers, seeded, and give them back as they were.

    ``torch.nn``'s initial values and dropout know no other generator, so a local one cannot serve.

    Parameters
    ----------
    seed : int
    device : torch.device, optional
        Whose generator is lent besides the CPU's.
    """
    kind = device.type if device is not None and device.type != "cpu" else None
    lent: dict[str, Any] = {"devices": [device], "device_type": kind} if kind else {"devices": []}
    with _TURNS, torch.random.fork_rng(**lent):
        torch.random.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread on the CPU.

    Small steps gain nothing from more, and where something else runs too, threads that wait for each
    other after each of them take twenty times as long (measured on two cores).
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Older torch cannot tell; float32 is right everywhere.
        has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return False
