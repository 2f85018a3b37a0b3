"""Checks of an audit: duplicates, label issues and shortcuts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler, normalize
from sklearn.tree import DecisionTreeClassifier

from maskkit._display.tables import Estimate
from maskkit._images.hashing import hash_content
from maskkit._images.load import load_image, name_source
from maskkit._images.quality import measure_brightness_and_sharpness
from maskkit._metrics.scores import wilson
from maskkit.datasets._similarity import BLOCK, MIN_IMAGES, estimate_limit, find_levels
from maskkit.exceptions import ImageError

Pairs = NDArray[np.int64]  # (n_pairs, 2), indices of two images, the smaller one first

PROPERTIES = ("width", "height", "aspect", "sharpness", "brightness", "file type")
N_FOLDS = 5
# Share of a class that one group may hold.
_MAX_GROUP = 0.4

# Two 64-bit hashes of copies differ in few bits. Blurred or drawn faces that differ may have such hashes too, so their
# thumbnails must be equal as well, apart from brightness: more alike than other images of the set, and than this.
_MAX_BITS = 4
_MIN_CORRELATION, _MIN_CORRELATION_OF_FEW = 0.9, 0.98
_THUMBNAIL_PX = 16
_MIN_IMAGES_FOR_HASHES = 6


@dataclass(frozen=True, slots=True, eq=False)
class ImageTraits:
    """Measurements of one image.

    The digest is equal for equal pixels. The perceptual hashes, of the image and of its mirror image, have 64 bits.
    The thumbnail is RGB.
    `values` are those of `PROPERTIES`, in that order, without the file type, which is `ending`.
    """

    digest: str
    phash: int
    mirrored_phash: int
    thumbnail: NDArray[np.uint8]
    values: tuple[float, ...]
    ending: str


def measure_image(index: int, source: Any) -> ImageTraits | str:
    """Measure one image; return the error message if it cannot be read."""
    from imagehash import phash

    try:
        image = load_image(source, name=name_source(source, index))
    except ImageError as exc:
        return str(exc)
    picture = Image.fromarray(image)
    # The hash of a mirrored copy differs in about half of its bits, so both hashes are needed to find it.
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    height, width = image.shape[:2]
    brightness, sharpness = measure_brightness_and_sharpness(image)
    values = (float(width), float(height), width / height, sharpness, brightness)
    ending = Path(source).suffix.lower() if isinstance(source, (str, Path)) else ""
    hashes = [int(str(phash(each)), 16) for each in (picture, mirrored)]
    # Small pictures are not smoothed by the larger filter, large ones are averaged.
    thumbnail = np.asarray(picture.resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BILINEAR))
    return ImageTraits(hash_content(image), hashes[0], hashes[1], thumbnail, values, ending)


def find_duplicates(traits: Sequence[ImageTraits], features: NDArray[np.float32]) -> Pairs:
    """Find pairs of near or exact duplicates by their pixels, by perceptual hash and by features.

    Near-duplicates are more alike than different images of this very set can be expected to be. So the limits depend
    on the set: different images are more alike in a large set than in a small one, and drawings more than photos.
    """
    digests = np.unique([one.digest for one in traits], return_inverse=True)[1]
    pairs = [_find_pairs(len(traits), lambda rows: digests[rows, None] == digests), _find_similar_pixels(traits)]
    if len(traits) >= MIN_IMAGES:
        pairs.append(find_similar_features(features))
    return np.unique(np.concatenate(pairs), axis=0)


def _find_similar_pixels(traits: Sequence[ImageTraits]) -> Pairs:
    """Find pairs of images with similar hashes, and with thumbnails more alike than those of different images."""
    hashes = np.array([one.phash for one in traits], dtype=np.uint64)
    mirrored_hashes = np.array([one.mirrored_phash for one in traits], dtype=np.uint64)
    pairs = find_similar_hashes(hashes, mirrored_hashes, _MAX_BITS)
    thumbnails = np.stack([one.thumbnail for one in traits]).astype(np.float32)
    direct, mirrored = _to_unit(thumbnails), _to_unit(thumbnails[:, :, ::-1])

    def correlate(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        # Fisher's transformation: correlations near 1 are spread, so that their tail can be fitted.
        highest = np.maximum(direct[rows] @ direct.T, direct[rows] @ mirrored.T)
        return np.arctanh(np.clip(highest, -0.999999, 0.999999)).astype(np.float32)

    limit = _MIN_CORRELATION if len(traits) >= MIN_IMAGES else _MIN_CORRELATION_OF_FEW
    if len(traits) >= _MIN_IMAGES_FOR_HASHES:
        limit = max(limit, float(np.tanh(estimate_limit(correlate, len(traits)))))
    first, second = direct[pairs[:, 0]], pairs[:, 1]
    return pairs[np.maximum((first * direct[second]).sum(1), (first * mirrored[second]).sum(1)) >= limit]


def _to_unit(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return thumbnails as vectors of length 1 without their mean color; zeros if there is nothing else."""
    return normalize((thumbnails - thumbnails.mean(axis=(1, 2), keepdims=True)).reshape(len(thumbnails), -1))


def find_similar_hashes(hashes: NDArray[np.uint64], mirrored: NDArray[np.uint64], max_bits: int) -> Pairs:
    """Find pairs of images whose hashes, or that of one and the mirrored one of the other, differ in few bits."""

    def is_similar(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        block = hashes[rows, None]
        return np.minimum(np.bitwise_count(block ^ hashes), np.bitwise_count(block ^ mirrored)) <= max_bits

    return _find_pairs(len(hashes), is_similar)


def find_similar_features(features: NDArray[np.float32]) -> Pairs:
    """Find pairs of images whose features are more alike than those of different images, compared to neighbors."""
    unit = normalize(features)
    levels = find_levels(unit) * np.float32(0.5)

    def compare(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return unit[rows] @ unit.T - levels[rows, None] - levels

    # Nothing is above the limit by rounding alone, in a set of images that are all equally alike.
    limit = estimate_limit(compare, len(unit)) + 1e-4
    return _find_pairs(len(unit), lambda rows: compare(rows) > limit)


def _find_pairs(n_images: int, is_similar: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Pairs:
    """Compare blocks of images with all images, so that memory is bounded by the size of a block."""
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, n_images, BLOCK):
        # Similarity is symmetric, so each pair is kept once.
        first, second = np.nonzero(is_similar(np.arange(start, min(start + BLOCK, n_images))))
        first = first + start
        pairs.append(np.column_stack([first, second])[first < second])
    return np.concatenate(pairs)


def group_duplicates(pairs: Pairs, n_images: int) -> NDArray[np.int64]:
    """Return the group of each image, shape (n_images,): the connected components of the pairs."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_images, n_images))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def find_label_issues(
    features: NDArray[np.float32], labels: NDArray[np.str_], groups: NDArray[np.int64], random_state: int
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Find labels that a model trained on the other groups contradicts, and the labels that it suggests instead.

    The most likely errors are first. Source: Northcutt, Jiang, Chuang: Confident Learning, 2021, J. Artif. Intell.
    Res. 70; cleanlab.
    """
    from cleanlab import filter as cleanlab_filter

    classes, targets = np.unique(labels, return_inverse=True)
    # Strong regularization keeps the model from learning wrong labels by heart.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))
    folds = _make_folds(random_state)
    proba = cross_val_predict(model, features, targets, groups=groups, cv=folds, method="predict_proba")
    # One process: others would import torch again, which takes longer than the computation.
    ranked = cleanlab_filter.find_label_issues(targets, proba, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(map(int, ranked)), tuple(classes[proba[ranked].argmax(axis=1)].tolist())


def measure_shortcuts(
    traits: Sequence[ImageTraits], labels: NDArray[np.str_], groups: NDArray[np.int64], random_state: int
) -> dict[str, Estimate]:
    """Compute the accuracy of predicting the class from each property alone, cross-validated over groups."""
    endings = OrdinalEncoder().fit_transform([[one.ending] for one in traits])
    table = np.column_stack([[one.values for one in traits], endings])
    columns = {name: [index] for index, name in enumerate(PROPERTIES)} | {"all": list(range(len(PROPERTIES)))}
    # A shallow tree finds thresholds of a property, and cannot learn single images.
    shortcuts = {}
    for name, chosen in columns.items():
        model = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=random_state)
        folds = _make_folds(random_state)
        predicted = cross_val_predict(model, table[:, chosen], labels, groups=groups, cv=folds)
        shortcuts[name] = wilson(int((predicted == labels).sum()), len(labels))
    return shortcuts


def _make_folds(random_state: int) -> StratifiedGroupKFold:
    return StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=random_state)


def find_obstacle(labels: NDArray[np.str_], groups: NDArray[np.int64]) -> str:
    """Return why there can be no folds that hold groups together and classes in proportion; "" if there can be."""
    classes = np.unique(labels)
    if len(classes) < 2:
        return f"this needs two or more classes of at least {N_FOLDS} groups each"
    for label in classes:
        sizes = np.unique(groups[labels == label], return_counts=True)[1]
        if len(sizes) < N_FOLDS:
            return (
                f"without duplicates, {label} has {len(sizes)} images or groups of them; this needs two or more "
                f"classes of at least {N_FOLDS} groups each"
            )
        # The fold of this group would leave few images of the class to train on.
        if sizes.max() > sizes.sum() * _MAX_GROUP:
            return f"one group of duplicates holds {sizes.max()} of the {sizes.sum()} images of {label}"
    return ""
