"""FacePredictor: the fitted object that detects and classifies the faces of photos."""

import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from maskkit._checks.numbers import check_int, check_max_px, check_proba
from maskkit._images.crop import Box, crop_square
from maskkit._images.hashing import hash_content
from maskkit._images.load import ImageSource, RgbImage, name_source, warn_of
from maskkit._images.prefetch import in_windows, prefetch_map
from maskkit._images.sources import keep_readable
from maskkit._model.decision import DecisionRule
from maskkit._model.face_density import FaceDensity
from maskkit._model.features import FeatureExtractor
from maskkit._model.fitted_backbone import hash_model
from maskkit._model.found_faces import (
    NO_FACES,
    NO_IMAGE,
    FoundFaces,
    always,
    check_detector_works,
    load_photo,
    to_box,
)
from maskkit._model.head import TransferHead
from maskkit._model.results import FaceResult, PhotoResult
from maskkit._plugins import plugin_errors
from maskkit.detectors._base import Detector, Faces, check_faces, detect_batch, fit_to_image
from maskkit.detectors._heatmap import limit_scales
from maskkit.detectors.whole import WholeImageDetector
from maskkit.exceptions import ImageError, ModelFileError, PluginError, SkippedImageWarning

# Photos whose faces share batches. Memory holds up to three times as many decoded photos: those being read,
# those being searched for faces, and those being classified.
WINDOW_PHOTOS = 8
_WINDOW_CROPS = 64
# Windows of large photos have fewer.
_WINDOW_PIXELS = 32_000_000

# For predictors that are used in one thread.
_NO_LOCK = nullcontext()

# Faces whose two most probable classes are closer than this are recomputed, so that rounding changes neither a label
# nor the side of a threshold. Of 367 faces of photos 13 % are closer, of 300 of 12k 1 %; bfloat16 changes the
# probabilities of the others by up to 0.006, and those of all faces by up to 0.074.
MIN_MARGIN = 0.9

# Faces whose probability is closer than this to the threshold, in logits, are recomputed, too. It is three times the
# largest change of a logit on these faces.
MAX_LOGIT_CHANGE = 1.0


@dataclass(frozen=True)
class FacePredictor:
    """A detector, an embedder, a head and a decision rule that work together.

    It holds all that prediction needs, and nothing of how it was trained; saving, export, explanations, video, serving
    and batch prediction take it. The head maps features (n, n_features) to probabilities (n, n_classes), with columns
    in the order of `classes`. Faces whose features exceed the limit of the `density` are uncertain. The locks are held
    while photos are searched and while faces are classified.
    """

    detector: Detector
    embedder: FeatureExtractor
    head: Any
    classes: NDArray[Any]
    rule: DecisionRule
    model_name: str
    detector_name: str
    density: FaceDensity | None = None
    max_faces: int | None = None
    are_crops: bool = False
    detection_lock: AbstractContextManager[Any] = field(default=_NO_LOCK, repr=False, compare=False)
    classification_lock: AbstractContextManager[Any] = field(default=_NO_LOCK, repr=False, compare=False)

    def for_threads(self) -> "FacePredictor":
        """Return a copy that several threads may use at once; each stage runs in one of them at a time.

        Neither a detector nor a head needs to be thread-safe.
        """
        return replace(self, detection_lock=RLock(), classification_lock=RLock())

    def limit_scales(self, max_pixels: int) -> "FacePredictor":
        """Return a copy whose detector scales images to at most so many pixels, if it chooses the scales itself."""
        return replace(self, detector=limit_scales(self.detector, max_pixels))

    def limit_faces(self, max_faces: int | None) -> "FacePredictor":
        """Return a copy that classifies the largest faces of a photo, at most so many."""
        return replace(self, max_faces=None if max_faces is None else check_int(max_faces, "max_faces", 1))

    def as_crops(self) -> "FacePredictor":
        """Return a copy that takes each photo as a crop of one face, without detection."""
        return replace(self, detector=WholeImageDetector(), detector_name="whole", are_crops=True)

    def predict_proba(self, images: Iterable[ImageSource], *, are_crops: bool = False) -> NDArray[np.float64]:
        """Predict class probabilities (n_images, n_classes); raise ValueError if there is no image."""
        batches = [proba for proba, _ in self.iterate_batches(images, are_crops=are_crops)]
        if not batches:
            raise ValueError("X is empty; want at least one image.")
        return np.concatenate(batches)

    def iterate_batches(
        self, images: Iterable[ImageSource], *, are_crops: bool = False
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float32]]]:
        """Iterate over probabilities (n, n_classes) and features (n, n_features) of batches of images."""
        for batch in self.embedder.extract(images, are_crops=are_crops):
            proba = self._predict_head(batch.features)
            if batch.recompute is not None:
                rows = np.flatnonzero(_is_near_decision(proba, self.rule.threshold))
                if len(rows):
                    proba[rows] = self._predict_head(batch.recompute(rows.tolist()))
            yield check_proba(proba, len(self.classes), type(self.head).__name__), batch.features

    @cached_property
    def _predict_head(self) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
        """`predict_proba` of the head; a `TransferHead` prepares its weights once, and not for each batch."""
        return self.head._freeze() if isinstance(self.head, TransferHead) else self.head.predict_proba

    def in_float32(self) -> "FacePredictor":
        """Return a copy that computes all faces in float32, if it chooses the precision itself."""
        settings = self.embedder.settings
        if settings.precision != "auto":
            return self
        return replace(self, embedder=replace(self.embedder, settings=replace(settings, precision="float32")))

    def read_photo(self, photo: ImageSource, *, max_px: int | None = None) -> PhotoResult:
        """Detect and classify the faces of one photo; raise ImageError or PluginError if that fails."""
        return self.classify_faces(self.find_faces(photo, max_px=max_px))

    def find_faces(
        self, photo: ImageSource, near: Sequence[Box] | None = None, *, max_px: int | None = None
    ) -> FoundFaces:
        """Detect the faces of one photo, or those near given boxes; raise ImageError or PluginError if that fails."""
        loaded = load_photo(name_source(photo), keep_readable(photo), max_px=check_max_px(max_px))
        (detected,) = self._detect([loaded._replace(near=near)])
        if detected.error is not None:
            raise detected.error
        return self._keep_largest(detected)

    def classify_faces(self, found: FoundFaces, known: Sequence[FaceResult | None] | None = None) -> PhotoResult:
        """Classify the faces of one photo, except those of which `known` holds an earlier result, which keep it."""
        known = known or [None] * len(found.faces)
        unknown = np.flatnonzero([face is None for face in known])
        result = next(self._classify([found._replace(faces=found.faces.select(unknown))]))
        new, places = iter(result), [_place(found.faces, index) for index in range(len(known))]
        faces = (
            next(new) if face is None else replace(face, **place) for face, place in zip(known, places, strict=True)
        )
        return replace(result, faces=tuple(faces))

    def read_photos(
        self, photos: Iterable[ImageSource], *, on_error: str = "report", max_px: int | None = None
    ) -> Iterator[PhotoResult]:
        """Iterate over one result per photo, in order, reading a few of them ahead, as `predict_photos` does."""
        named = ((name_source(photo, index), keep_readable(photo)) for index, photo in enumerate(photos))
        return self.read_named_photos(named, on_error=on_error, max_px=check_max_px(max_px))

    def read_named_photos(
        self,
        photos: Iterable[tuple[str, ImageSource]],
        *,
        on_error: str = "report",
        max_px: int | None = None,
        formats: Collection[str] | None = None,
        is_wanted: Callable[[int], bool] | None = None,
    ) -> Iterator[PhotoResult]:
        """Iterate over the results of pairs of name and photo.

        Photos of more than `max_px` pixels, or in another format than `formats`, are unreadable. `is_wanted` is asked
        before each step whether the photo of an index is still wanted. A photo that is not is unreadable, too.
        """

        def load(named: tuple[str, ImageSource], index: int) -> FoundFaces:
            ask = always if is_wanted is None else partial(is_wanted, index)
            return load_photo(*named, is_wanted=ask, max_px=max_px, formats=formats)

        size = _WINDOW_CROPS if self.are_crops else WINDOW_PHOTOS
        loaded = prefetch_map(load, photos, count(), n_ahead=size)
        # One thread, because a detector need not be thread-safe. It searches the next photos while the faces of
        # the previous ones are classified.
        read = in_windows(loaded, size, max_pixels=_WINDOW_PIXELS)
        detect = self._detect if hasattr(self.detector, "detect_batch") else self._detect_one_by_one
        windows = prefetch_map(detect, read, n_ahead=2, n_workers=1)
        for window in check_detector_works(windows, WINDOW_PHOTOS):
            for result, photo in zip(self._classify(window), window, strict=True):
                if photo.error is None or on_error == "report":
                    yield result
                elif on_error == "raise":
                    raise photo.error
                else:
                    warnings.warn(f"left out: {photo.error}", SkippedImageWarning, stacklevel=2)

    def unreadable_photo(self, source: ImageSource, name: str, error: ImageError) -> PhotoResult:
        """Return the result of a photo that is not read, because of an error found before."""
        return next(self._classify([FoundFaces(source, name, NO_IMAGE, error, 0.0)]))

    @cached_property
    def model_sha256(self) -> str | None:
        """Content hash of weights, preprocessing and classes; None if the head is not a `TransferHead`."""
        return hash_model(self.embedder.backbone, self.head, self.classes)

    def fingerprint(self) -> str:
        """Return a content hash of everything that predictions depend on, except the detector and the machine.

        Raises ModelFileError if the head is not a `TransferHead`, whose weights can be hashed.
        """
        if self.model_sha256 is None:
            raise ModelFileError(
                f"{type(self.head).__name__} cannot be identified by its weights; train a TransferHead."
            )
        settings = self.embedder.settings
        compute = (self.embedder.face_finder is not None, settings.engine, settings.precision)
        layers = f"{self.head.network_!r} {self.embedder.backbone.fingerprint}"
        density = None if self.density is None else self.density.noise_and_limit.tolist()
        return hash_content(f"{self.model_sha256} {layers} {self.rule} {density} {compute}".encode())

    def _detect(self, photos: Sequence[FoundFaces]) -> list[FoundFaces]:
        """Detect the faces of several photos; if the detector fails, the photos on which it fails get its error."""
        with self.detection_lock:
            photos = [photo.check_wanted() for photo in photos]
            readable = [photo for photo in photos if photo.error is None]
            start = time.perf_counter()
            try:
                found = iter(self._detect_together(readable))
            except PluginError as exc:
                if len(photos) > 1:
                    return self._detect_one_by_one(photos)
                return [photos[0]._replace(error=exc)]
            ms = (time.perf_counter() - start) * 1000 / max(1, len(readable))
            return [p._replace(faces=next(found), detect_ms=ms) if p.error is None else p for p in photos]

    def _detect_one_by_one(self, photos: Sequence[FoundFaces]) -> list[FoundFaces]:
        """Detect the faces of photos, each of which may fail or become unwanted meanwhile."""
        with self.detection_lock:
            return [detected for photo in photos for detected in self._detect([photo])]

    def _detect_together(self, photos: Sequence[FoundFaces]) -> list[Faces]:
        if not photos:
            return []
        method = "detect_batch()" if hasattr(self.detector, "detect_batch") else "detect()"
        with plugin_errors("detectors", self.detector_name, method, ", ".join(photo.name for photo in photos)):
            # Of several photos, none has boxes.
            found = detect_batch(self.detector, [photo.image for photo in photos], near=photos[0].near)
        if len(found) != len(photos):
            raise PluginError(
                f"detector {self.detector_name}: detect_batch() returned {len(found)} results for {len(photos)} "
                f"images; want one each."
            )
        return [
            fit_to_image(check_faces(faces, self.detector_name, photo.image), photo.image)
            for faces, photo in zip(found, photos, strict=True)
        ]

    def _classify(self, window: list[FoundFaces]) -> Iterator[PhotoResult]:
        """Classify the faces of several photos in common batches."""
        with self.classification_lock:
            window = [self._keep_largest(photo.check_wanted()) for photo in window]
            boxes = [(photo.image, box) for photo in window for box in photo.faces.boxes_xyxy]
            crops = [image if self.are_crops else crop_square(image, box) for image, box in boxes]
            start = time.perf_counter()
            rows = iter(list(self._judge_crops(crops)) if crops else ())
            face_ms = (time.perf_counter() - start) * 1000 / max(1, len(crops))
        for photo in window:
            warn_of(photo.name, photo.notes)
            n_faces = len(photo.faces)
            speed_ms = {"read": photo.read_ms, "detect": photo.detect_ms, "classify": face_ms * n_faces}
            yield PhotoResult(
                tuple(self._detected_face(photo.faces, index, *next(rows)) for index in range(n_faces)),
                photo.source,
                photo.name,
                None if photo.error is not None else (photo.image.shape[1], photo.image.shape[0]),
                self.model_name,
                self.detector_name,
                error=None if photo.error is None else str(photo.error),
                speed_ms={stage: round(value, 3) for stage, value in speed_ms.items()},
                notes=(*photo.notes, *self._note_left_out(len(photo.left_out))),
                left_out=photo.left_out,
                model_sha256=self.model_sha256,
            )

    def _keep_largest(self, photo: FoundFaces) -> FoundFaces:
        """Leave out the smaller faces of a photo, and all faces of one with an error."""
        faces = NO_FACES if photo.error is not None else photo.faces
        boxes = faces.boxes_xyxy[self.max_faces :] if self.max_faces is not None else ()
        kept = faces.select(np.arange(len(faces) - len(boxes)))
        return photo._replace(faces=kept, left_out=(*photo.left_out, *map(to_box, boxes)))

    def _note_left_out(self, n_left_out: int) -> list[str]:
        faces = "1 smaller face" if n_left_out == 1 else f"{n_left_out:,} smaller faces"
        return [f"{faces} left out by max_faces={self.max_faces}"] if n_left_out else []

    def _judge_crops(self, crops: list[RgbImage]) -> Iterator[tuple[NDArray[np.float64], bool]]:
        """Iterate over the probabilities of each crop, and whether it may be a face."""
        for proba, features in self.iterate_batches(crops, are_crops=True):
            are_faces = [True] * len(proba) if self.density is None else self.density.are_faces(features).tolist()
            yield from zip(proba, are_faces, strict=True)

    def _detected_face(self, faces: Faces, index: int, row: NDArray[np.float64], is_face: bool) -> FaceResult:
        place = _place(faces, index)
        box: Box = place["box"]
        classes, best = self.classes.tolist(), int(row.argmax())
        probability, size_px = float(row[best]), max(box[2] - box[0], box[3] - box[1])
        return FaceResult(
            label=classes[best],
            probability=probability,
            probabilities=dict(zip(classes, map(float, row), strict=True)),
            reasons=self.rule.reasons(probability, size_px, is_face=is_face),
            **place,
        )


def _place(faces: Faces, index: int) -> dict[str, Any]:
    """Return what a `FaceResult` contains of a detected face."""
    points = None
    if faces.landmarks is not None:
        points = tuple((round(float(x), 1), round(float(y), 1)) for x, y in faces.landmarks[index])
    return {
        "box": to_box(faces.boxes_xyxy[index]),
        "detection_score": float(faces.scores[index]),
        "landmarks": points,
    }


def _is_near_decision(proba: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return whether rounding may change the class of a row of probabilities, or whether it reaches a threshold."""
    second, highest = np.partition(proba, -2, axis=1)[:, -2:].T
    is_near: NDArray[np.bool_] = highest - second < MIN_MARGIN
    if 0 < threshold < 1:
        is_near |= np.abs(logit(highest) - logit(threshold)) < MAX_LOGIT_CHANGE
    return is_near
