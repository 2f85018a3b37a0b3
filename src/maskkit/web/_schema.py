"""Schemas of requests and responses for the OpenAPI description; the values come from `PhotoResult.to_dict`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Face(_Schema):
    """A detected and classified face."""

    face: int = Field(description="Number of the face in the photo, from 1; the largest is the first.")
    box: tuple[int, int, int, int] = Field(description="Left, top, right, bottom, in pixels of the upright photo.")
    detection_score: float = Field(description="Confidence of the detector that this is a face.")
    label: str | int = Field(description="The most probable class.")
    probability: float = Field(description="Probability of the label, 0 to 1.")
    probabilities: dict[str, float] = Field(description="Probability of each class.")
    decision: str | int = Field(description="The label, or 'uncertain'.")
    reasons: list[str] = Field(description="Reasons for 'uncertain': 'too_small', 'low_probability', 'not_a_face'.")
    nose_and_mouth_covered: bool | None = Field(description="By a mask; null if uncertain or not known to the model.")
    size_px: int = Field(description="Longer side of the box.")
    landmarks: list[tuple[float, float]] | None = Field(description="Eyes, nose, corners of the mouth.")


class Photo(_Schema):
    """The result of one photo; faces are sorted by size, largest first."""

    schema_version: int = Field(description="Raised when a field is removed or changes its meaning.")
    source: str = Field(description="Name of the uploaded file.")
    size: tuple[int, int] | None = Field(description="Width and height, upright; null if unreadable.")
    status: Literal["ok", "no_face", "unreadable"]
    error: str | None
    notes: list[str] = Field(description="What was left out or assumed when the photo was read.")
    summary: dict[str, int] = Field(description="Number of faces by decision.")
    faces: list[Face]
    left_out: list[tuple[int, int, int, int]] = Field(description="Boxes of smaller faces that were not classified.")
    speed_ms: dict[str, float] = Field(description="Milliseconds to read, detect and classify.")
    model: str
    model_sha256: str | None = Field(description="SHA-256 of the model's weights, preprocessing and classes.")
    detector: str
    maskkit_version: str


class Faces(_Schema):
    """One result per photo, in the order in which they were sent."""

    photos: list[Photo]


class Error(_Schema):
    """An error."""

    code: str = Field(description="Name of the error, for programs.")
    message: str = Field(description="Explanation for people.")


class ErrorResponse(_Schema):
    """The body of every error."""

    error: Error
    photos: list[Photo] | None = None


class LabelColor(_Schema):
    """A label and its color."""

    label: str | int
    color: str = Field(description="Color of its boxes.")


class Model(_Schema):
    """The model and the limits of requests."""

    model: str
    model_sha256: str | None = Field(description="SHA-256 of the model's weights, preprocessing and classes.")
    detector: str
    maskkit_version: str
    classes: list[LabelColor]
    uncertain: LabelColor
    threshold: float = Field(description="Probability below which a face is uncertain.")
    min_size_px: float = Field(description="Longer side of the box below which a face is uncertain.")
    limits: dict[str, float]


_ERRORS = {
    400: "No image, or an invalid form.",
    401: "The token is missing or wrong.",
    403: "The host or the origin is not allowed.",
    408: "The request took too long to arrive.",
    413: "Too large, or too many images or pixels.",
    415: "Neither a form nor an image, compressed, or of a format that is not read.",
    422: "No image can be read, or a parameter is invalid.",
    500: "The images could not be classified, or the server has a bug.",
    503: "The queue is full.",
    504: "Classification took too long.",
}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text} for status, text in _ERRORS.items()
}
"""Responses of `POST /v1/faces` other than 200."""
ERROR_RESPONSES[503]["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}

_IMAGE = {"type": "string", "format": "binary"}
REQUEST_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"image": {"type": "array", "items": _IMAGE, "minItems": 1}},
                "required": ["image"],
            }
        },
        "image/*": {"schema": _IMAGE},
        "application/octet-stream": {"schema": _IMAGE},
    },
}
"""Request body of `POST /v1/faces`."""
