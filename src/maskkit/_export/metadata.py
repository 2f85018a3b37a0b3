"""Metadata of exported files: what they hold for programs that use them, and nothing of the machine that made them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskkit._text import to_json


def metadata_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of an exported file: its description, and the parts that programs look for, as text."""
    parts = {name: spec[name] for name in ("model", "maskkit", "classes", "uncertain_below", "min_size_px")}
    return {
        **{name: value if isinstance(value, str) else to_json(value) for name, value in parts.items()},
        # A dict from index to name is what detectors of Ultralytics hold, and several viewers show.
        "names": to_json(dict(enumerate(map(str, spec["classes"])))),
        "spec": to_json(spec),
    }


def clean_onnx(file: Path, metadata: Mapping[str, str], onnx: Any) -> None:
    """Replace the metadata of an ONNX file: torch stores paths and source lines of the builder at every node."""
    model = onnx.load(str(file))
    _remove_metadata(model)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(file))


def _remove_metadata(message: Any) -> None:
    """Remove the metadata and documentation of a protobuf message and of all messages in it."""
    for field in ("metadata_props", "doc_string"):
        if field in message.DESCRIPTOR.fields_by_name:
            message.ClearField(field)
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                _remove_metadata(inner)
