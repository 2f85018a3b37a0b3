"""Inference engines: PyTorch, or OpenVINO on CPUs."""

import warnings
from collections.abc import Callable

import torch
from torch import nn

from maskkit._images.prefetch import use_one_thread_after_fork
from maskkit._images.preprocess import Preprocess
from maskkit.engines._base import Engine
from maskkit.engines._devices import has_fast_bfloat16, resolve_device, resolve_precision
from maskkit.engines._openvino import OpenVINOEngine, Quantized, convert, quantize, read_quantized
from maskkit.engines._torch import TorchEngine
from maskkit.exceptions import EngineError

__all__ = [
    "ENGINES",
    "Engine",
    "Quantized",
    "check_engine",
    "convert",
    "make_engine",
    "quantize",
    "read_quantized",
    "resolve_engine",
]

ENGINES = ("auto", "torch", "openvino")


def check_engine(engine: str, device: str, precision: str) -> None:
    """Raise ValueError if a parameter is unknown, not available on this machine, or contradicts another."""
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r} is unknown; use {', '.join(map(repr, ENGINES))}.")
    chosen = resolve_device(device)
    if engine == "openvino" and chosen.type != "cpu":
        raise ValueError(
            f"engine='openvino' computes on the CPU, not on {chosen.type}; use device='cpu' or engine='auto'."
        )
    name = resolve_engine(engine, chosen)
    if precision == "int8" and name == "torch":
        raise ValueError("precision='int8' needs engine='openvino' on a CPU; use 'auto', 'bfloat16' or 'float32'.")
    if precision == "float16" and engine == "openvino":
        raise ValueError("precision='float16' needs a GPU; on a CPU use 'auto', 'bfloat16', 'float32' or 'int8'.")
    if precision != "int8":
        resolve_precision(precision, chosen)


def resolve_engine(engine: str, device: torch.device) -> str:
    """Return the engine, choosing OpenVINO on a CPU and torch elsewhere for ``"auto"``."""
    if engine == "auto":
        return "openvino" if device.type == "cpu" else "torch"
    return engine


def make_engine(
    network: Callable[[], nn.Module],
    preprocess: Preprocess,
    *,
    engine: str,
    device: torch.device,
    precision: str,
    fingerprint: str,
    quantized: Quantized | None,
) -> Engine:
    """Return an engine for a network on its device; `fingerprint` is the hash of network and preprocessing.

    `network` returns it, and is not called if OpenVINO has compiled the network before.

    Raises EngineError if ``engine="openvino"`` cannot run the network, or int8 has not been calibrated.
    """
    use_one_thread_after_fork()
    if precision == "int8" and quantized is None:
        raise EngineError(
            "this model is not quantized to int8; call quantize(X) with images like those to be predicted."
        )
    is_reduced = precision == "auto" and has_fast_bfloat16(device)
    if precision == "auto":
        precision = "bfloat16" if is_reduced else "float32"
    if resolve_engine(engine, device) == "openvino":
        try:
            int8 = quantized if precision == "int8" else None
            return OpenVINOEngine(network, preprocess, precision, fingerprint, int8, is_reduced=is_reduced)
        except EngineError as exc:
            if engine != "auto" or precision == "int8":
                raise
            warnings.warn(f"{exc} PyTorch is used now.", stacklevel=2)
    return TorchEngine(network(), preprocess, device, resolve_precision(precision, device), is_reduced=is_reduced)
