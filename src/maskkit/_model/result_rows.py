"""Rows of tables of faces: CSV, JSON Lines, Parquet and pandas."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskkit._model.results import FaceResult, PhotoResult

ROW_FIELDS = (
    "source", "status", "face", "decision", "label", "probability", "detection_score", "left", "top", "right", "bottom",
    "size_px", "reasons", "error", "notes", "model", "model_sha256",
)  # fmt: skip
"""Columns of a table of faces, before one with the probability of each class."""


def row_fields(classes: Iterable[Any]) -> tuple[str, ...]:
    """Return the columns of a table of faces for a model with these classes."""
    return (*ROW_FIELDS, *(f"probability_{label}" for label in classes))


def rows_of(photo: "PhotoResult", classes: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one row per face with the keys of `row_fields`, or one with the status alone if there is no face."""
    row = dict.fromkeys(row_fields(classes)) | {"source": photo.name, "status": photo.status, "error": photo.error}
    row |= {"notes": " ".join(photo.notes), "model": photo.model, "model_sha256": photo.model_sha256}
    return [row | _row_of(face, number) for number, face in enumerate(photo.faces, 1)] or [row]


def _row_of(face: "FaceResult", number: int) -> dict[str, Any]:
    row = {name: getattr(face, name) for name in ("decision", "label", "probability", "detection_score", "size_px")}
    row |= dict(zip(("left", "top", "right", "bottom"), face.box, strict=True))
    row |= {f"probability_{label}": value for label, value in face.probabilities.items()}
    return row | {"face": number, "reasons": " ".join(face.reasons)}
