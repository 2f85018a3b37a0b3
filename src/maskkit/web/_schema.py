"""What goes out, for the OpenAPI description; the values are those of `PhotoResult.to_dict`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Face(_Reply):
    """One face."""

    box: tuple[int, int, int, int] = Field(description="Left, top, right, bottom, in pixels of the upright photo.")
    detection_score: float = Field(description="How sure the detector is that this is a face.")
    label: str | int = Field(description="The most probable class.")
    probability: float = Field(description="Of the label, 0 to 1.")
    probabilities: dict[str, float]
    decision: str | int = Field(description="The label, or 'uncertain'.")
    reasons: list[str] = Field(description="Why it is uncertain: 'too_small', 'low_probability'.")
    size_px: int = Field(description="Longer side of the box.")
    landmarks: list[tuple[float, float]] | None = Field(description="Eyes, nose, corners of the mouth.")


class Photo(_Reply):
    """One photo, its faces from the largest on."""

    source: str = Field(description="The name of the file that was sent.")
    size: tuple[int, int] | None = Field(description="Width and height, upright; null if unreadable.")
    status: Literal["ok", "no_face", "unreadable"]
    error: str | None
    summary: dict[str, int] = Field(description="Faces by decision.")
    faces: list[Face]
    speed_ms: dict[str, float]
    model: str
    detector: str


class Faces(_Reply):
    """A result a photo, in the order in which they came."""

    photos: list[Photo]


class Error(_Reply):
    """What is wrong."""

    code: str = Field(description="One word for programs.")
    message: str = Field(description="For people.")


class Problem(_Reply):
    """Why there is no answer."""

    error: Error
    photos: list[Photo] | None = None


class ClassOf(_Reply):
    """A class of the model."""

    label: str | int
    colour: str = Field(description="In which it is drawn.")


class Model(_Reply):
    """What judges, and what may be sent."""

    model: str
    detector: str
    classes: list[ClassOf]
    uncertain: ClassOf
    threshold: float = Field(description="Probability below which a face is uncertain.")
    min_size_px: float = Field(description="Longer side of the box below which a face is uncertain.")
    limits: dict[str, float]


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "No image, or a form that cannot be read."},
    401: {"model": Problem, "description": "The token is missing or wrong."},
    403: {"model": Problem, "description": "Asked by another page, or under a strange name."},
    408: {"model": Problem, "description": "The request took too long to arrive."},
    413: {"model": Problem, "description": "Too large, or too many images."},
    415: {"model": Problem, "description": "Neither a form nor an image."},
    422: {"model": Problem, "description": "None of the images can be read, or a parameter is wrong."},
    503: {
        "model": Problem,
        "description": "Too much waits.",
        "headers": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
    },
    504: {"model": Problem, "description": "Took too long to judge."},
}
"""What `POST /v1/faces` may answer beside 200."""

_IMAGE = {"type": "string", "format": "binary"}
BODY = {
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
"""What it takes."""
