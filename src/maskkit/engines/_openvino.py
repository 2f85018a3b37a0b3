"""OpenVINO engine, several times as fast as PyTorch on a CPU, and int8 quantization."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit._images.hashing import hash_content
from maskkit._images.preprocess import Preprocess
from maskkit.engines._compile import compile_model, import_untracked, openvino
from maskkit.engines._devices import DEFAULT_BATCH_SIZE
from maskkit.exceptions import EngineError

HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}

# Largest relative error of a traced network. If the trace is valid for other images, the error is that of
# rounding: 1e-6 in float32, 1e-2 in bfloat16.
_MAX_ERROR = 0.1

Quantized = tuple[bytes, bytes]
"""A model in OpenVINO's own format: XML and weights."""


class OpenVINOEngine:
    """Runs the network that `network` returns, compiled for this processor; with `quantized`, in int8.

    Raises EngineError if the network cannot be converted.
    """

    def __init__(
        self,
        network: Callable[[], nn.Module],
        preprocess: Preprocess,
        precision: str,
        fingerprint: str,
        quantized: Quantized | None = None,
        *,
        is_reduced: bool = False,
    ):
        self._compiled = compile_model(
            (lambda: convert(network(), preprocess)) if quantized is None else partial(read_quantized, quantized),
            key=fingerprint if quantized is None else hash_content(*quantized),
            settings={"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "THROUGHPUT"},
            check=(lambda compiled: _check_trace(network(), preprocess, compiled)) if quantized is None else None,
        )
        self.is_reduced = is_reduced
        self.batch_size = DEFAULT_BATCH_SIZE
        self.n_streams: int = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")

    def compute(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A new request for each call makes it safe for threads.
        return self._compiled.create_infer_request().infer([pixels])[0].copy()


def trace(network: nn.Module, size: int) -> Any:
    """Trace a network on the CPU; return OpenVINO's preprocessor of its model, which takes uint8 (n, H, W, 3)."""
    with torch.no_grad(), warnings.catch_warnings():
        # torch.jit.trace is deprecated, but OpenVINO takes ten times as long to convert a torch.export.
        warnings.simplefilter("ignore")
        model = openvino.convert_model(torch.jit.trace(network, torch.zeros(1, 3, size, size), check_trace=False))
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(openvino.Type.f32)
    return steps


def convert(network: nn.Module, preprocess: Preprocess) -> Any:
    """Convert a network to an ``openvino.Model`` of uint8 (n, S, S, 3) that includes preprocessing.

    Raises EngineError if it cannot be traced, has operations that OpenVINO lacks, or does not take so small images.
    """
    size = preprocess.image_size
    try:
        steps = trace(network.cpu().eval(), size)
    except Exception as exc:  # torch and OpenVINO raise RuntimeError, their own and others
        reason = str(exc).strip().partition("\n")[0]
        raise EngineError(
            f"{type(network).__name__} cannot be run by OpenVINO ({reason}); use engine='torch'."
        ) from exc
    mean, scale = ([255 * value for value in channel] for channel in (preprocess.mean, preprocess.std))
    steps.input().preprocess().mean(mean).scale(scale)
    model = steps.build()
    try:
        model.reshape([-1, size, size, 3])
    except RuntimeError as exc:
        raise EngineError(
            f"{type(network).__name__} cannot be run by OpenVINO with image_size={size}, which may be too small; use a "
            f"larger one, or engine='torch'."
        ) from exc
    return model


def quantize(network: nn.Module, preprocess: Preprocess, pixels: Sequence[NDArray[np.uint8]]) -> Quantized:
    """Quantize a network to int8 (post-training quantization of NNCF).

    Weights are quantized symmetrically; the ranges of activations are calibrated on `pixels`, a few
    hundred images of shape (S, S, 3) like those to be predicted.

    Raises EngineError if the network cannot be converted; MissingLibraryError if NNCF is not installed.
    """
    nncf = import_untracked("nncf", extra="int8")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    calibration = nncf.Dataset([image[None] for image in pixels])
    with contextlib.redirect_stdout(io.StringIO()):  # NNCF prints its progress there.
        model = nncf.quantize(convert(network, preprocess), calibration, subset_size=len(pixels))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        return file.read_bytes(), file.with_suffix(".bin").read_bytes()


def read_quantized(quantized: Quantized) -> Any:
    """Return the ``openvino.Model`` of a result of `quantize`."""
    return openvino.Core().read_model(quantized[0], quantized[1])


def _check_trace(network: nn.Module, preprocess: Preprocess, compiled: Any) -> None:
    """Raise EngineError if the traced network differs from the network on other images or batch sizes."""
    size = preprocess.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    with torch.inference_mode():
        output = network(preprocess.normalize(pixels, torch.device("cpu")))
    if not isinstance(output, torch.Tensor):
        raise EngineError(f"{type(network).__name__} returned {type(output).__name__}; want one tensor.")
    wanted = output.float().numpy()
    got = compiled([pixels])[0]
    error = np.linalg.norm(got - wanted) / max(float(np.linalg.norm(wanted)), 1e-12)
    if not error < _MAX_ERROR:
        raise EngineError(
            f"{type(network).__name__} computes other features once it is traced (relative error {error:.2f}); "
            f"use engine='torch'."
        )
