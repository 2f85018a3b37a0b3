"""Devices, precisions, random seeds, memory and threads of PyTorch."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

from maskkit._images.preprocess import memory_format
from maskkit.exceptions import EngineError

_log = logging.getLogger("maskkit.engines")

# The global generator is shared by all threads, so concurrent fits take turns in using it.
_GENERATOR_LOCK = threading.RLock()

# The settings of cuDNN within `exact`, and the number of threads that are inside.
_EXACT, _EXACT_LOCK, _n_exact = ExitStack(), threading.Lock(), 0

# Number of images that are computed together. More keep a large GPU busier: its networks start as many kernels for one
# image as for 256.
DEFAULT_BATCH_SIZE, _MAX_BATCH_SIZE = 32, 256
# Memory per pixel of the input: several times what the largest layers of ResNet-50 take in float32.
_BYTES_PER_PIXEL = 1000

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Where launchers state the number of a process on its machine; the last three are set by MPI.
_LOCAL_RANKS = ("LOCAL_RANK", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK")


def resolve_device(device: str) -> torch.device:
    """Return the device of a parameter `device`: ``"auto"`` (CUDA, else MPS, else CPU) or a torch device.

    A CUDA device always has its number, because ``"cuda"`` alone is the current device of each thread.

    Raises ValueError if the name is unknown, or the device is not available; EngineError if this process was forked
    from one that had used the device.
    """
    if device == "auto":
        return find_gpu() or torch.device("cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:  # whose message lists devices that maskkit cannot use
        raise ValueError(f"device={device!r} is unknown; use 'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'.") from None
    if chosen.type == "cuda":
        chosen = _current_gpu() if chosen.index is None else chosen
        is_present = chosen.index < torch.cuda.device_count()
    else:
        is_present = chosen.type == "cpu" or (chosen.type == "mps" and torch.backends.mps.is_available())
    if not is_present:
        raise ValueError(f"device={device!r} is not available on this machine; use device='auto'.")
    return _check_not_forked(chosen)


def find_gpu() -> torch.device | None:
    """Return the GPU that ``"auto"`` selects: CUDA if it computes, else MPS. Other accelerators are never selected."""
    # Unlike `is_available`, the count does not start CUDA's driver, after which forked processes could not use CUDA.
    if torch.cuda.device_count():
        gpu = _check_not_forked(_current_gpu())
        if _computes(gpu):
            return gpu
    return _check_not_forked(torch.device("mps")) if torch.backends.mps.is_available() else None


def _current_gpu() -> torch.device:
    """Return the current CUDA device of this thread, or else the one of the process that a launcher numbered."""
    index = torch.cuda.current_device() if torch.cuda.is_initialized() else 0
    rank = next((int(os.environ[name]) for name in _LOCAL_RANKS if name in os.environ), 0)
    return torch.device("cuda", index or max(rank, 0) % max(torch.cuda.device_count(), 1))


@cache
def _computes(gpu: torch.device) -> bool:
    """Return whether a GPU computes; PyTorch may lack kernels for it, or the driver may be too old."""
    try:
        torch.zeros(1, device=gpu).add_(1).item()
    except (RuntimeError, AssertionError) as exc:
        warnings.warn(f"{gpu} cannot be used ({_first_line(exc)}), so the CPU is.", stacklevel=4)
        return False
    return True


def _check_not_forked(device: torch.device) -> torch.device:
    if device.type != "cpu" and torch.get_device_module(device)._is_in_bad_fork():
        raise EngineError(
            f"{device} cannot be used in a process that was forked from one that had used it; start processes by "
            f"'spawn' or 'forkserver', or use device='cpu'."
        )
    return device


def describe_device(device: torch.device) -> str:
    """Return what decides about the last digits of results: the name of a CUDA card, else the type of the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


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


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Let CUDA repeat convolutions bit for bit within a context, and compute those of float32 without TF32.

    cuDNN's settings belong to the whole process, so the last thread to leave the context restores them.
    """
    global _n_exact
    if device.type != "cuda":
        yield
        return
    with _EXACT_LOCK:
        if not _n_exact:
            enabled = torch.backends.cudnn.enabled
            _EXACT.enter_context(torch.backends.cudnn.flags(enabled=enabled, deterministic=True, allow_tf32=False))
        _n_exact += 1
    try:
        yield
    finally:
        with _EXACT_LOCK:
            _n_exact -= 1
            if not _n_exact:
                _EXACT.close()


def choose_batch_size(device: torch.device, image_size: int) -> int:
    """Return how many images are computed together: on CUDA, as many as fit half of its free memory, up to 256."""
    if device.type != "cuda":
        return DEFAULT_BATCH_SIZE
    n_images = torch.cuda.mem_get_info(device)[0] // 2 // (_BYTES_PER_PIXEL * image_size**2)
    n_images = min(max(n_images, DEFAULT_BATCH_SIZE), _MAX_BATCH_SIZE)
    return 1 << (n_images.bit_length() - 1)  # a power of two, for which kernels of GPUs are tuned


class InHalves:
    """Calls a function on batches, or on smaller parts once a device is out of memory; remembers the size that fits.

    Raises EngineError that ends with `hint` if a single item does not fit.
    """

    def __init__(self, function: Callable[[Any], Any], device: torch.device, hint: str):
        self.function, self.device, self.hint = function, device, hint
        self.max_size = sys.maxsize

    def __call__(self, batch: Any) -> list[Any]:
        """Return the results of the parts of a batch, in order."""
        results: list[Any] = []
        start = 0
        while start < len(batch):
            part = batch[start : start + self.max_size]
            try:
                results.append(self.function(part))
                start += len(part)
                continue
            except RuntimeError as exc:
                reason = describe_out_of_memory(exc)
            # Out of the handler, whose exception would keep the tensors of the failed part in memory.
            if len(part) == 1:
                raise EngineError(f"{self.device} has too little memory for one image ({reason}); {self.hint}.")
            # Another thread may have found this size, or a smaller one, meanwhile.
            if self.max_size > len(part) // 2:
                self.max_size = len(part) // 2
                _log.warning("%s is out of memory; batches have %d images from now on.", self.device, self.max_size)
        return results


def describe_out_of_memory(exc: RuntimeError) -> str:
    """Return the first line of an error that says that a device is out of memory; raise any other error again."""
    # MPS and the libraries of CUDA have no exception of their own for it.
    texts = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
    if isinstance(exc, torch.OutOfMemoryError) or any(text in str(exc) for text in texts):
        return _first_line(exc)
    raise exc


def _first_line(exc: BaseException) -> str:
    return str(exc).strip().partition("\n")[0].rstrip(".")


def move(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network in place, to the memory format of the device; return it."""
    network.to(device)
    return network.to(memory_format=memory_format(device))


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes products of bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Older versions of torch do not report capabilities; float32 is always correct.
        has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return False
