"""OpenVINO, imported without its telemetry.

``import openvino`` sends an event to Google Analytics and writes a client id to ``~/intel``, unasked
(``openvino/tools/ovc/__init__.py``, seen in 2026.4). Where the package ``openvino_telemetry`` is not
installed, OpenVINO falls back to its own stub and does neither; here it finds none.
"""

import sys

__all__ = ["openvino"]

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
try:
    import openvino
finally:
    if sys.modules["openvino_telemetry"] is None:
        del sys.modules["openvino_telemetry"]
