"""OpenVINO, imported without its telemetry and safe to call from several threads.

``import openvino`` sends an event to Google Analytics and writes a client id to ``~/intel``, unasked
(``openvino/tools/ovc/__init__.py``, seen in 2026.4). Where the package ``openvino_telemetry`` is not
installed, OpenVINO falls back to its own stub and does neither; here it finds none.
"""

import sys

import numpy as np

__all__ = ["openvino"]

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
try:
    import openvino
finally:
    if sys.modules["openvino_telemetry"] is None:
        del sys.modules["openvino_telemetry"]

# The first array that OpenVINO's binding takes makes it set itself up. Two threads that come first
# together would wait for each other for ever; an import is done by one thread, others wait for it.
openvino.Tensor(np.zeros(1, dtype=np.uint8))
