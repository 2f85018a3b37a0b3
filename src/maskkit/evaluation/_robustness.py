"""Robustness to image corruptions at graded severities, and to objects in front of the face."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageFilter

from maskkit._checks.numbers import check_int
from maskkit._display.tables import Estimate, Record, Rows, Table, Tabulated, to_plain
from maskkit._images.load import RgbImage, compress_jpeg, load_image
from maskkit._images.prefetch import in_windows, prefetch_map
from maskkit._labels import UNMASKED, meaning_of
from maskkit.augment import find_landmarks, paint_occluder
from maskkit.augment._occluders import EVALUATED
from maskkit.evaluation import _inputs
from maskkit.evaluation._evaluation import SCHEMA_VERSION
from maskkit.evaluation._intervals import Resampling, mean_share
from maskkit.reporters._base import Reporter, report_to, resolve_reporters

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Corruption:
    """A corruption of images at levels from mild to severe, which are numbers of a `unit`."""

    name: str
    unit: str
    levels: tuple[float, ...]
    corrupt: Callable[[Image.Image, Any], Image.Image]

    def apply(self, level: float, _index: int, image: RgbImage) -> RgbImage:
        """Return a corrupted copy of the image of an index, which plays no role."""
        return np.asarray(self.corrupt(Image.fromarray(image), level))


# Blur is specified for faces of this size, so that it hides the same share of large and small faces.
BLUR_REFERENCE_PX = 128


def _shrink(picture: Image.Image, side_px: float) -> Image.Image:
    """Shrink the longer side to `side_px`; smaller faces are unchanged."""
    share = side_px / max(picture.size)
    if share >= 1:
        return picture
    width, height = (max(1, round(side * share)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _blur(picture: Image.Image, sigma: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(sigma * max(picture.size) / BLUR_REFERENCE_PX))


def _darken(picture: Image.Image, stops: float) -> Image.Image:
    """Halve the linear light `stops` times, and encode it as sRGB (IEC 61966-2-1) with 8 bits again."""
    encoded = np.arange(256) / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4) / 2**stops
    darker = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return picture.point((255 * darker).round().astype(int).tolist() * 3)


CORRUPTIONS = (
    Corruption("size", "longer side, px, at most", (128, 96, 64, 48, 32, 24, 16, 12, 8), _shrink),
    Corruption("blur", f"Gaussian sigma, px of {BLUR_REFERENCE_PX}", (0.5, 1, 2, 3, 4, 6, 8), _blur),
    Corruption("jpeg", "JPEG quality", (90, 70, 50, 30, 20, 10, 5), compress_jpeg),
    Corruption("darkness", "stops: light halved", (1, 2, 3, 4, 5, 6), _darken),
)


# A corruption counts as breaking the classifier if mean recall drops by more than this.
BREAKING_LOSS = 0.05

Metrics = Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class Robustness(Tabulated, Record):
    """Evaluation of a classifier on the same faces at graded severities of corruption.

    Attributes
    ----------
    classes : tuple
    n_faces : int
    n_photos : int or None
        Number of photos that the faces were cropped from; intervals are then computed over photos.
    left_out : dict of str to int
        Number of faces of classes that the classifier does not have, by label.
    unchanged : dict of str to Estimate
        ``accuracy``, ``recall`` (mean over classes) and ``recall/CLASS`` of the original faces.
    curves : dict
        Corruption (``"size"``, ``"blur"``, ``"jpeg"``, ``"darkness"``) -> level -> the same metrics, from
        mild to severe.
    occluders : dict
        Occluder -> the same metrics of the faces with it painted in front; a beard is painted on unmasked faces only.
    """

    classes: tuple[Any, ...]
    n_faces: int
    n_photos: int | None
    left_out: Mapping[str, int]
    unchanged: Metrics
    curves: Mapping[str, Mapping[float, Metrics]]
    occluders: Mapping[str, Metrics]

    def breaks_at(self) -> dict[str, float | None]:
        """Return the mildest level of each corruption that lowers mean recall by 5 points, or None."""
        limit = self.unchanged["recall"].value - BREAKING_LOSS
        return {
            name: next((level for level, estimates in curve.items() if estimates["recall"].value < limit), None)
            for name, curve in self.curves.items()
        }

    def metrics(self) -> dict[str, Estimate]:
        """Return all metrics by name, such as ``accuracy/size/16`` or ``accuracy/occluder/hand``."""
        metrics = dict(self.unchanged)
        for name, curve in self.curves.items():
            for level, estimates in curve.items():
                metrics |= {f"{metric}/{name}/{level:g}": estimate for metric, estimate in estimates.items()}
        for kind, estimates in self.occluders.items():
            metrics |= {f"{metric}/occluder/{kind}": estimate for metric, estimate in estimates.items()}
        return metrics

    def tables(self) -> tuple[Table, ...]:
        """Return tables of accuracy and mean recall by corruption and level, and of the recalls by occluder."""
        over = "" if self.n_photos is None else f" of {self.n_photos:,} photos, intervals over photos"
        rows: Rows = (
            ("none", "", self.unchanged["accuracy"], self.unchanged["recall"]),
            *(
                (name, f"{level:g}", estimates["accuracy"], estimates["recall"])
                for name, curve in self.curves.items()
                for level, estimates in curve.items()
            ),
        )
        units: Rows = tuple(
            (corruption.name, corruption.unit, "never" if level is None else f"{level:g}")
            for corruption, level in zip(CORRUPTIONS, self.breaks_at().values(), strict=True)
        )
        occluded: Rows = tuple(
            (kind, *(estimates[f"recall/{label}"] for label in self.classes))
            for kind, estimates in {"none": self.unchanged, **self.occluders}.items()
        )
        broken = f"Levels at which recall drops by {100 * BREAKING_LOSS:g} points"
        title = f"{self.n_faces:,} faces{over}"
        columns = ("corruption", "level", "accuracy", "recall")
        recalls = (f"recall of {label}" for label in self.classes)
        beard = "A beard is painted on unmasked faces only."
        return (
            Table(broken, ("corruption", "unit of level", "level"), units, _inputs.describe_left_out(self.left_out)),
            Table(f"{title}, corrupted", columns, rows, "Recall is the mean over classes."),
            Table(f"{title}, with an object painted in front", ("occluder", *recalls), occluded, beard),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        curves = {
            name: [{"level": level, **estimates} for level, estimates in curve.items()]
            for name, curve in self.curves.items()
        }
        values = {"schema_version": SCHEMA_VERSION, "kind": "robustness", "breaks_at": self.breaks_at()}
        return values | super().to_dict() | {"curves": to_plain(curves)}

    def figures(self, *, blur: bool = False) -> dict[str, "Figure"]:
        """Draw accuracy and the recall of each class against each corruption, as a matplotlib figure by name.

        No face is shown, so that `blur` changes nothing.
        """
        from maskkit.evaluation import _plots

        return {"robustness": _plots.draw_robustness(self)}


# Number of images in memory at once.
_BATCH = 256
_BATCH_PIXELS = 64_000_000


def evaluate_robustness(
    classifier: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    max_faces: int | None = 1000,
    reporters: str | Reporter | Iterable[str | Reporter] = (),
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Robustness:
    """Evaluate a classifier on the same faces, corrupted at graded severities, and with objects painted in front.

    Parameters
    ----------
    classifier : fitted classifier
        Any classifier with `predict_proba` and `classes_`.
    X, y : as in `evaluate`
        A single data set.
    max_faces : int or None, default=1000
        Maximum number of faces, drawn at random, because each is predicted 37 times. None uses all.
    reporters : str, Reporter or several, default=()
        Names or instances that receive the result.
    n_resamples : int, default=1000
        Number of bootstrap samples of faces, or of whole photos.
    random_state : int, default=0
        Seed of all random draws.

    Returns
    -------
    robustness : Robustness

    Raises
    ------
    NotFittedError, ImageError, TypeError, ValueError
        As in `evaluate`.

    Notes
    -----
    Size: the longer side is shrunk to 128 ... 8 px with antialiasing; smaller faces are unchanged. Blur: Gaussian, with
    sigma in 128ths of the longer side. JPEG: Pillow's quality, at the face's own size. Darkness: the linear light is
    halved one to six times and stored in 8 bits again; no noise is added. The corruptions follow Hendrycks and
    Dietterich 2019, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR; the levels
    are ours. Occluders are painted by `maskkit.augment.paint_occluder` at the landmarks that the detector finds in the
    crop; models that maskkit trains have seen such paintings in training.
    """
    n_resamples, random_state = _inputs.check_resampling(n_resamples, random_state)
    resolved = resolve_reporters(reporters)
    if max_faces is not None:
        max_faces = check_int(max_faces, "max_faces", 1)
    classes = _inputs.list_classes(classifier)
    faces, true, _, left_out = _inputs.select_known(_inputs.read_face_set(X, y), classes)
    if max_faces is not None and len(faces) > max_faces:
        drawn = np.sort(np.random.default_rng(random_state).choice(len(faces), max_faces, replace=False))
        faces, true = faces.select(drawn), true[drawn]
    resampling = Resampling(len(faces), faces.photos, n_resamples, random_state)
    measure = partial(_measure, classifier, faces, true, classes, resampling)
    landmarks = find_landmarks(prefetch_map(_load, faces.sources, faces.names))
    is_unmasked = np.array([meaning_of(classes[index]) == UNMASKED for index in true])
    robustness = Robustness(
        tuple(classes),
        len(faces),
        resampling.n_photos,
        left_out,
        measure(),
        {
            corruption.name: {level: measure(partial(corruption.apply, level)) for level in corruption.levels}
            for corruption in CORRUPTIONS
        },
        {
            kind: measure(partial(_occlude, kind, landmarks, random_state), is_unmasked if kind == "beard" else None)
            for kind in EVALUATED
        },
    )
    report_to(resolved, robustness)
    return robustness


def _load(source: Any, name: str) -> RgbImage:
    return load_image(source, name=name)


def _occlude(
    kind: str, landmarks: Sequence[NDArray[np.float32]], random_state: int, index: int, image: RgbImage
) -> RgbImage:
    # Each face has a seed of its own, because the images are painted in several threads.
    return paint_occluder(image, landmarks[index], kind=kind, random_state=np.random.default_rng((random_state, index)))


def _measure(
    classifier: Any,
    faces: _inputs.FaceSet,
    true: NDArray[np.int64],
    classes: list[Any],
    resampling: Resampling,
    change: Callable[[int, RgbImage], RgbImage] | None = None,
    counted: NDArray[np.bool_] | None = None,
) -> Metrics:
    """Estimate accuracy and recalls of the counted faces, by default of all, after a change of each image."""

    def make(index: int, source: Any, name: str) -> RgbImage:
        image = _load(source, name)
        return image if change is None else change(index, image)

    images = prefetch_map(make, range(len(faces)), faces.sources, faces.names)
    windows = in_windows(images, _BATCH, max_pixels=_BATCH_PIXELS)
    proba = np.concatenate([classifier.predict_proba(window) for window in windows])
    is_correct = _inputs.check_proba(proba, len(faces), classes).argmax(axis=1) == true
    counted = np.ones(len(true), dtype=bool) if counted is None else counted
    by_class = {f"recall/{label}": counted & (true == index) for index, label in enumerate(classes)}
    shares = resampling.shares(is_correct, {"accuracy": counted} | by_class)
    return {"accuracy": shares["accuracy"], "recall": mean_share(shares[name] for name in by_class)} | shares
