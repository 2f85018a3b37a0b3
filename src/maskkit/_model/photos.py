"""Photos with any number of faces: read, detect, crop, classify, in a stream."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskkit._images.crop import crop_square
from maskkit._images.load import ImageSource, RgbImage, load_image, name_source
from maskkit._images.prefetch import in_batches, prefetch_map
from maskkit._model.decision import DecisionRule
from maskkit._model.results import FaceResult, PhotoResult
from maskkit._plugins import plugin_errors
from maskkit.detectors._base import Detector, Faces, check_faces
from maskkit.exceptions import ImageError, PluginError, SkippedImageWarning

# Photos whose faces share batches; bounds the memory at that many decoded photos, three times.
_WINDOW = 8


class PhotoReader:
    """Finds and classifies the faces of photos.

    Parameters
    ----------
    detector : Detector
    classify : callable
        Gives probabilities (n_faces, n_classes) of a list of crops.
    classes : ndarray of shape (n_classes,)
    rule : DecisionRule
    model, detector_name : str
        What results call the two.
    """

    def __init__(
        self,
        detector: Detector,
        classify: Callable[[list[RgbImage]], NDArray[np.floating[Any]]],
        classes: NDArray[Any],
        *,
        rule: DecisionRule,
        model: str,
        detector_name: str,
    ):
        self.detector = detector
        self.classify = classify
        self.classes = classes.tolist()
        self.rule = rule
        self.model = model
        self.detector_name = detector_name

    def read_one(self, photo: ImageSource) -> PhotoResult:
        """Give the result of a photo; raises `ImageError` if it cannot be read, `PluginError` if detection fails."""
        found = self._detect(_load((name_source(photo), photo)))
        if found.photo.error is not None:
            raise found.photo.error
        return next(self._judge([found]))

    def read(self, photos: Iterable[ImageSource], *, on_error: str) -> Iterator[PhotoResult]:
        """Yield a result a photo, in order; takes few photos ahead."""
        named = ((name_source(photo, index), photo) for index, photo in enumerate(photos))
        return self.read_named(named, on_error=on_error)

    def read_named(
        self, photos: Iterable[tuple[str, ImageSource]], *, on_error: str = "report", max_px: int | None = None
    ) -> Iterator[PhotoResult]:
        """Do as `read` does for photos that have a name; those of more than `max_px` pixels are unreadable."""
        loaded = prefetch_map(partial(_load, max_px=max_px), photos, n_ahead=_WINDOW)
        # One thread: a detector need not be safe in several. While it looks at the next photos, the faces of
        # these are classified.
        found = prefetch_map(self._detect, loaded, n_ahead=_WINDOW, n_workers=1)
        for window in in_batches(found, _WINDOW):
            for result, (photo, _, _) in zip(self._judge(window), window, strict=True):
                if photo.error is None or on_error == "report":
                    yield result
                elif on_error == "raise":
                    raise photo.error
                else:
                    warnings.warn(f"left out: {photo.error}", SkippedImageWarning, stacklevel=2)

    def _judge(self, window: list["_Found"]) -> Iterator[PhotoResult]:
        crops = [crop_square(photo.image, box) for photo, faces, _ in window for box in faces.boxes_xyxy]
        start = time.perf_counter()
        probabilities = iter(self.classify(crops) if crops else ())
        face_ms = (time.perf_counter() - start) * 1000 / max(1, len(crops))
        for photo, faces, detect_ms in window:
            speed_ms = {"read": photo.read_ms, "detect": detect_ms, "classify": face_ms * len(faces)}
            yield PhotoResult(
                tuple(
                    self._face(index, faces, row) for index, row in zip(range(len(faces)), probabilities, strict=False)
                ),
                photo.source,
                photo.name,
                None if photo.error is not None else (photo.image.shape[1], photo.image.shape[0]),
                self.model,
                self.detector_name,
                error=None if photo.error is None else str(photo.error),
                speed_ms={stage: round(value, 3) for stage, value in speed_ms.items()},
            )

    def _detect(self, photo: "_Photo") -> "_Found":
        if photo.error is not None:
            return _Found(photo, _NO_FACES, 0.0)
        start = time.perf_counter()
        try:
            with plugin_errors("detectors", self.detector_name, "detect()", photo.name):
                found = self.detector.detect(photo.image)
            faces = check_faces(found, self.detector_name, photo.image)
        except PluginError as exc:  # it may be this photo alone that somebody's detector cannot bear
            return _Found(photo._replace(error=exc), _NO_FACES, 0.0)
        return _Found(photo, _fit_to_image(faces, photo.image), (time.perf_counter() - start) * 1000)

    def _face(self, index: int, faces: Faces, row: NDArray[np.floating[Any]]) -> FaceResult:
        best = int(row.argmax())
        left, top, right, bottom = (int(edge) for edge in faces.boxes_xyxy[index])
        points = None
        if faces.landmarks is not None:
            points = tuple((round(float(x), 1), round(float(y), 1)) for x, y in faces.landmarks[index])
        return FaceResult(
            box=(left, top, right, bottom),
            detection_score=float(faces.scores[index]),
            label=self.classes[best],
            probability=float(row[best]),
            probabilities=dict(zip(self.classes, map(float, row), strict=True)),
            landmarks=points,
            reasons=self.rule.reasons(float(row[best]), max(right - left, bottom - top)),
        )


class _Photo(NamedTuple):
    source: ImageSource
    name: str
    image: RgbImage
    error: ImageError | PluginError | None
    read_ms: float


class _Found(NamedTuple):
    photo: _Photo
    faces: Faces
    detect_ms: float


_NO_IMAGE = np.zeros((0, 0, 3), dtype=np.uint8)
_NO_FACES = Faces(np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.float32))


def _load(item: tuple[str, ImageSource], *, max_px: int | None = None) -> _Photo:
    name, source = item
    start = time.perf_counter()
    try:
        image, error = load_image(source, name=name, max_px=max_px), None
    except ImageError as exc:
        image, error = _NO_IMAGE, exc
    return _Photo(source, name, image, error, (time.perf_counter() - start) * 1000)


def _fit_to_image(faces: Faces, image: RgbImage) -> Faces:
    """Round boxes to whole pixels inside the image, drop those outside it, put the largest first."""
    height, width = image.shape[:2]
    boxes = np.rint(faces.boxes_xyxy).clip(0, np.array([width, height, width, height], dtype=np.float32))
    sizes = boxes[:, 2:] - boxes[:, :2]
    inside = np.flatnonzero((sizes > 0).all(axis=1))
    order = inside[np.argsort(-sizes[inside].prod(axis=1), kind="stable")]
    landmarks = None if faces.landmarks is None else faces.landmarks[order]
    return Faces(boxes[order], faces.scores[order], landmarks)
