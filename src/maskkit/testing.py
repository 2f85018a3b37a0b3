"""Fakes and contract checks for tests, also those of plugin authors."""

import contextlib
import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from sklearn.base import BaseEstimator
from torch import nn

from maskkit._images.load import RgbImage
from maskkit._model.fitted_backbone import check_network
from maskkit._model.results import FaceResult, PhotoResult
from maskkit._plugins import plugin_errors, resolve
from maskkit.backbones._base import Backbone, Weights, build_network
from maskkit.detectors._base import Detector, Faces, check_faces, read_only
from maskkit.exceptions import PluginError
from maskkit.reporters._base import Reporter, call_reporter
from maskkit.sinks._base import Sink, WatchEvent, connect_sink, open_sink

__all__ = [
    "FixedDetector",
    "TinyBackbone",
    "check_backbone",
    "check_detector",
    "check_reporter",
    "check_sink",
    "make_faces",
]


def make_faces(
    n_images: int = 20,
    *,
    classes: tuple[str, ...] = ("with_mask", "without_mask"),
    size_px: int = 64,
    random_state: int = 0,
) -> tuple[list[RgbImage], NDArray[np.str_]]:
    """Draw simple faces, some with a mask.

    Parameters
    ----------
    n_images : int, default=20
        Number of images.
    classes : tuple of str
        Labels, assigned in turn. Faces of the first class wear a blue mask, those of the second none,
        those of a third a yellow one below the nose, and so on in other colors.
    size_px : int, default=64
        Side of the square images.
    random_state : int, default=0
        Seed; equal seeds draw equal images.

    Returns
    -------
    images : list of ndarray of shape (size_px, size_px, 3), uint8
        RGB images.
    labels : ndarray of shape (n_images,), str
        Label of each image.

    Examples
    --------
    >>> from maskkit.testing import make_faces
    >>> faces, labels = make_faces(4)
    >>> faces[0].shape, labels.tolist()
    ((64, 64, 3), ['with_mask', 'without_mask', 'with_mask', 'without_mask'])
    """
    rng = np.random.default_rng(random_state)
    kinds = [index % len(classes) for index in range(n_images)]
    return [_draw_face(kind, size_px, rng) for kind in kinds], np.array([classes[kind] for kind in kinds])


_MASKS = ("#3b82c4", None, "#e0b030", "#4a9a5b", "#8a4fa0")
_SKINS = ("#f1c9a5", "#d9a47a", "#a86f4a", "#6b4630")


def _draw_face(kind: int, size_px: int, rng: np.random.Generator) -> RgbImage:
    gray = int(rng.integers(60, 200))
    picture = Image.new("RGB", (100, 100), (gray, gray, gray))
    draw = ImageDraw.Draw(picture)
    x, y = (int(value) for value in rng.integers(-5, 6, size=2))
    draw.ellipse((20 + x, 8 + y, 80 + x, 94 + y), fill=_SKINS[rng.integers(len(_SKINS))])
    for eye in (38, 62):
        draw.ellipse((eye - 4 + x, 36 + y, eye + 4 + x, 42 + y), fill="#202020")
    draw.arc((40 + x, 62 + y, 60 + x, 78 + y), 20, 160, fill="#8a2f2f", width=3)
    mask = _MASKS[kind % len(_MASKS)]
    if mask is not None:
        top = 50 if kind == 0 else 62
        draw.rounded_rectangle((26 + x, top + y, 74 + x, 90 + y), radius=12, fill=mask)
    pixels = np.asarray(picture.resize((size_px, size_px), Image.Resampling.BILINEAR), dtype=np.int16)
    return (pixels + rng.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)


class FixedDetector(BaseEstimator):
    """A detector that returns the same boxes for every image.

    Parameters
    ----------
    boxes_xyxy : array-like of shape (n_faces, 4)
        Left, top, right, bottom in pixels; right and bottom exclusive.
    scores : array-like of shape (n_faces,), optional
        Scores; by default all 1.
    """

    def __init__(self, boxes_xyxy: ArrayLike, scores: ArrayLike | None = None):
        self.boxes_xyxy = boxes_xyxy
        self.scores = scores

    def detect(self, image: RgbImage) -> Faces:
        """Return the boxes.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            Ignored.

        Returns
        -------
        faces : Faces
            The boxes, without landmarks.
        """
        boxes = np.asarray(self.boxes_xyxy, dtype=np.float32).reshape(-1, 4)
        scores = np.ones(len(boxes)) if self.scores is None else self.scores
        return Faces(boxes, np.asarray(scores, dtype=np.float32))


class TinyBackbone(BaseEstimator):
    """A backbone of one small convolution: fast, and sufficient for `make_faces`."""

    image_size = 32
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    n_features = 64
    weights_info = "random values"

    def build(self, weights: Weights) -> nn.Module:
        """Build the network, with random weights.

        Parameters
        ----------
        weights : path, {"imagenet"} or None
            Ignored.

        Returns
        -------
        network : torch.nn.Module
            Maps float32 (n, 3, H, W) to (n, 64).
        """
        return nn.Sequential(nn.Conv2d(3, 16, 5, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())


def check_detector(detector: Detector | str) -> None:
    """Check that a detector fulfills its contract; to be called in the tests of a plugin.

    The detector is run on noise, an empty image, a drawn face and images of odd sizes. They are read-only, as in use.
    It must return valid `Faces` each time, the same ones for the same image, and leave the image unchanged.

    Parameters
    ----------
    detector : Detector or str
        The detector to check, or the name under which it is installed.

    Raises
    ------
    PluginError
        If it does not fulfill the contract; the message says why.
    """
    detector = cast(Detector, resolve("detectors", detector))
    name = type(detector).__name__
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (120, 90, 3), dtype=np.uint8),
        np.full((64, 64, 3), 127, dtype=np.uint8),
        make_faces(1, size_px=200)[0][0],
        np.zeros((20, 400, 3), dtype=np.uint8),
        np.zeros((1, 1, 3), dtype=np.uint8),
    ]
    images = list(map(read_only, images))
    for image in images:
        before = image.copy()
        faces, again = (_detect(detector, image) for _ in range(2))
        if not np.array_equal(image, before):
            raise PluginError(f"detector {name}: detect() changed the image; work on a copy.")
        if not (np.array_equal(faces.boxes_xyxy, again.boxes_xyxy) and np.array_equal(faces.scores, again.scores)):
            raise PluginError(f"detector {name}: detect() returned two results for one image; want the same each time.")
    if hasattr(detector, "detect_batch"):
        with plugin_errors("detectors", detector, "detect_batch()", f"{len(images)} images"):
            together = list(detector.detect_batch(images))
        counts = [len(_detect(detector, image)) for image in images]
        if [len(faces) for faces in together] != counts:
            raise PluginError(
                f"detector {name}: detect_batch() found {[len(faces) for faces in together]} faces in images where "
                f"detect() found {counts}; want the same."
            )


def _detect(detector: Detector, image: RgbImage) -> Faces:
    height, width = image.shape[:2]
    with plugin_errors("detectors", detector, "detect()", f"an image of {width} x {height} px"):
        faces = detector.detect(image)
    return check_faces(faces, type(detector).__name__, image)


def check_backbone(backbone: Backbone | str) -> None:
    """Check that a backbone fulfills its contract; to be called in the tests of a plugin.

    Parameters
    ----------
    backbone : Backbone or str
        The backbone to check, or the name under which it is installed.

    Raises
    ------
    PluginError
        If it does not fulfill the contract; the message says why.
    """
    backbone = cast(Backbone, resolve("backbones", backbone))
    name = type(backbone).__name__
    for member in ("image_size", "mean", "std", "n_features", "weights_info", "build"):
        if not hasattr(backbone, member):
            raise PluginError(f"backbone {name}: has no {member}; see maskkit.backbones.Backbone.")
    for member in ("image_size", "n_features"):
        value = getattr(backbone, member)
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise PluginError(f"backbone {name}: {member} is {value!r}; want one positive integer.")
    for member in ("mean", "std"):
        values = getattr(backbone, member)
        if np.shape(values) != (3,) or not np.isfinite(np.asarray(values, dtype=float)).all():
            raise PluginError(f"backbone {name}: {member} is {values!r}; want three finite numbers, R, G, B.")
    if min(backbone.std) <= 0:
        raise PluginError(f"backbone {name}: std is {backbone.std!r}; want positive numbers.")
    check_network(build_network(backbone, None), backbone, backbone.image_size)


def check_reporter(reporter: Reporter | str) -> None:
    """Check that a reporter fulfills its contract; to be called in the tests of a plugin.

    The reporter is called with each kind of report, of drawn faces and one misclassified: those of `evaluate` for one
    data set and for several, of `evaluate_photos` and of `evaluate_robustness`. They have different metrics. If it has
    a method `report_epoch`, this is called with records of training with and without validation images. The working
    directory is an empty temporary one meanwhile, so a reporter that writes to a relative path leaves nothing
    behind.

    Parameters
    ----------
    reporter : Reporter or str
        The reporter to check, or the name under which it is installed.

    Raises
    ------
    PluginError
        If it does not fulfill the contract; the message says why.
    """
    reporter = cast(Reporter, resolve("reporters", reporter))
    name = type(reporter).__name__
    with TemporaryDirectory() as folder, contextlib.chdir(folder):
        if hasattr(reporter, "report_epoch"):
            _check_epochs(reporter)
        for kind, evaluation in _make_reports(Path(folder)).items():
            before = evaluation.to_dict()
            with plugin_errors("reporters", reporter, "report()", f"the result of {kind}"):
                call_reporter(reporter, evaluation)
            if evaluation.to_dict() != before:
                raise PluginError(f"reporter {name}: report() changed the evaluation; work on a copy.")


def check_sink(sink: Sink | str) -> None:
    """Check that a sink fulfills its contract; to be called in the tests of a plugin.

    The sink is opened, gets an event of each kind, and is closed. The working directory is an empty temporary one
    meanwhile.

    Parameters
    ----------
    sink : Sink or str
        The sink to check, or the name under which it is installed. Its receiver must be there.

    Raises
    ------
    PluginError
        If it does not fulfill the contract; the message says why.
    """
    sink = cast(Sink, resolve("sinks", sink))
    person = {"person": 1, "decision": "without_mask", "probability": None, "box": [0, 0, 9, 9]}
    counts = {"n_persons": 1, "persons": {"without_mask": 1}}
    kinds: dict[str, dict[str, Any]] = dict.fromkeys(("appeared", "decided", "changed", "left", "alarm"), person)
    kinds |= {kind: {} for kind in ("alarm_over", "time_jump", "stream_lost", "stream_restored")}
    kinds |= dict.fromkeys(("minute", "end"), counts)
    with TemporaryDirectory() as folder, contextlib.chdir(folder):
        open_sink(sink)
        with plugin_errors("sinks", sink, "connect()"):
            connect_sink(sink)
        for kind, details in kinds.items():
            event = WatchEvent(kind, 1.0, datetime.now(UTC), copy.deepcopy(details))
            with plugin_errors("sinks", sink, "send()", f"the event {kind!r}"):
                sink.send(event)
            if event.details != details:
                raise PluginError(f"sink {type(sink).__name__}: send() changed the event; work on a copy.")
        with plugin_errors("sinks", sink, "close()"):
            sink.close()


def _check_epochs(reporter: Any) -> None:
    record = {"loss": 0.7, "accuracy": 0.5, "images_per_second": 9.0, "epochs": 2, "classes": ["a", "b"]}
    # Class b is never predicted, so its precision is undefined.
    metrics = {
        "loss": 0.6,
        "accuracy": 0.5,
        "confusion": [[1, 0], [1, 0]],
        "precision": [0.5, None],
        "recall": [1.0, 0.0],
    }
    for validated in ({}, {f"validation_{key}": value for key, value in metrics.items()}):
        for epoch in (1.0, 2.0):
            given = copy.deepcopy({"epoch": epoch, **record, **validated})
            with plugin_errors("reporters", reporter, "report_epoch()", "a record of training"):
                reporter.report_epoch(given)
            if given != {"epoch": epoch, **record, **validated}:
                raise PluginError(
                    f"reporter {type(reporter).__name__}: report_epoch() changed the record; work on a copy."
                )


def _make_reports(folder: Path) -> dict[str, Any]:
    """Return a report of each kind, by the function that makes it."""
    from maskkit.evaluation import evaluate, evaluate_photos, evaluate_robustness

    faces, labels = make_faces(8)
    classifier = _FakeClassifier()
    photos = []
    for index, (face, label) in enumerate(zip(faces, labels, strict=True)):
        path = folder / f"{index}.png"
        Image.fromarray(face).save(path)
        photos.append(_Photo(path, np.array([[0, 0, 64, 64]], dtype=np.float32), np.array([label])))
    n_resamples = 20
    reports = {
        "evaluate()": evaluate(classifier, faces, labels, n_resamples=n_resamples),
        "evaluate() of several data sets": evaluate(
            classifier, {"first": (faces, labels), "second": (faces[:6], labels[:6])}, n_resamples=n_resamples
        ),
        "evaluate_photos()": evaluate_photos(classifier, photos, n_resamples=n_resamples),
        "evaluate_robustness()": evaluate_robustness(classifier, faces, labels, n_resamples=n_resamples),
    }
    for photo in photos:
        photo.path.unlink()
    return reports


class _Photo(NamedTuple):
    path: Path
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.str_]


class _FakeClassifier:
    """A classifier that is correct for every face of `make_faces` except the first."""

    classes_ = np.array(["with_mask", "without_mask"])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        proba = np.array([[0.9, 0.1] if index % 2 == 0 else [0.2, 0.8] for index in range(len(X))])
        proba[0] = proba[0][::-1]
        return proba

    def predict_photos(self, photos: Any) -> Iterator[PhotoResult]:
        for photo, row in zip(photos, self.predict_proba(photos), strict=True):
            probabilities = dict(zip(self.classes_.tolist(), row.tolist(), strict=True))
            label = max(probabilities, key=lambda name: probabilities[name])
            face = FaceResult((0, 0, 64, 64), 1.0, label, probabilities[label], probabilities)
            yield PhotoResult((face,), photo, str(photo), (64, 64), "fake", "fake")
