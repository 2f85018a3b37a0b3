"""Description of the machine."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from maskkit._optional import installed_version

_LIBRARIES = (
    *("maskkit", "torch", "torchvision", "timm", "openvino", "nncf"),
    *("onnxruntime", "skorch", "scikit-learn", "numpy", "pillow"),
)
_INSTRUCTIONS = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def describe_machine() -> dict[str, Any]:
    """Describe processor, memory, load and versions as plain values that JSON can hold."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.10
    return {
        "processor": _processor(),
        "n_cores": os.cpu_count(),
        "n_torch_threads": torch.get_num_threads(),
        "instructions": [name for name in _INSTRUCTIONS if capabilities.get(name)],
        "system": platform.platform(),
        # Other programs distort the results, so readers need the load.
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version()}
        | {name: version for name in _LIBRARIES if (version := installed_version(name)) is not None},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
