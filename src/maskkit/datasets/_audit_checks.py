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
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from maskkit._display.tables import Estimate
from maskkit._images.hashing import hash_content
from maskkit._images.load import load_image, name_source
from maskkit._images.quality import measure_brightness_and_sharpness
from maskkit.evaluation._intervals import wilson
from maskkit.exceptions import ImageError

Pairs = NDArray[np.int64]  # (n_pairs, 2), indices of two images, the smaller one first

PROPERTIES = ("width", "height", "aspect", "sharpness", "brightness", "file type")
N_FOLDS = 5

# Thresholds of near-duplicates, chosen by viewing pairs of face-mask-12k (docs/measurements.md): the number of
# different bits of two 64-bit hashes, or the cosine of whitened features. Few images do not span the space
# that whitening needs, so their plain features must be nearly equal.
_MAX_BITS = 4
_MIN_COSINE = 0.6
_MIN_COSINE_OF_FEW = 0.95
_MAX_COMPONENTS, _MIN_COMPONENTS = 256, 32
_IMAGES_PER_COMPONENT = 16
# Rows of the similarity matrix that are computed at once.
_BLOCK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class ImageTraits:
    """Measurements of one image.

    The digest is equal for equal pixels. The perceptual hashes, of the image and of its mirror image, have 64 bits.
    `values` are those of `PROPERTIES`, in that order, without the file type, which is `ending`.
    """

    digest: str
    phash: int
    mirrored_phash: int
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
    return ImageTraits(hash_content(image), hashes[0], hashes[1], values, ending)


def find_duplicates(traits: Sequence[ImageTraits], features: NDArray[np.float32], random_state: int) -> Pairs:
    """Find pairs of near or exact duplicates by perceptual hash and by features."""
    hashes = np.array([one.phash for one in traits], dtype=np.uint64)
    mirrored = np.array([one.mirrored_phash for one in traits], dtype=np.uint64)
    n_components = min(_MAX_COMPONENTS, len(features) // _IMAGES_PER_COMPONENT)
    if n_components >= _MIN_COMPONENTS:
        whitened = PCA(n_components, whiten=True, random_state=random_state).fit_transform(features)
        similar = find_similar_features(whitened.astype(np.float32), _MIN_COSINE)
    else:
        similar = find_similar_features(features, _MIN_COSINE_OF_FEW)
    return np.unique(np.concatenate([find_similar_hashes(hashes, mirrored, _MAX_BITS), similar]), axis=0)


def find_similar_hashes(hashes: NDArray[np.uint64], mirrored: NDArray[np.uint64], max_bits: int) -> Pairs:
    """Find pairs of images whose hashes, or that of one and the mirrored one of the other, differ in few bits."""

    def is_similar(rows: slice) -> NDArray[np.bool_]:
        block = hashes[rows, None]
        return np.minimum(np.bitwise_count(block ^ hashes), np.bitwise_count(block ^ mirrored)) <= max_bits

    return _find_pairs(len(hashes), is_similar)


def find_similar_features(features: NDArray[np.float32], min_cosine: float) -> Pairs:
    """Find pairs of images whose features have a high cosine similarity."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return _find_pairs(len(unit), lambda rows: unit[rows] @ unit.T >= min_cosine)


def _find_pairs(n_images: int, is_similar: Callable[[slice], NDArray[np.bool_]]) -> Pairs:
    """Compare blocks of images with all images, so that memory is bounded by the size of a block."""
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, n_images, _BLOCK):
        # Similarity is symmetric, so each pair is kept once.
        first, second = np.nonzero(is_similar(slice(start, start + _BLOCK)))
        first = first + start
        pairs.append(np.column_stack([first, second])[first < second])
    return np.concatenate(pairs)


def group_duplicates(pairs: Pairs, n_images: int) -> NDArray[np.int64]:
    """Return the group of each image, shape (n_images,): the connected components of the pairs."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_images, n_images))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def find_label_issues(
    features: NDArray[np.float32], labels: NDArray[np.str_], groups: NDArray[np.int64]
) -> tuple[int, ...]:
    """Find labels that a model trained on the other groups contradicts, most likely errors first.

    Source: Northcutt, Jiang, Chuang: Confident Learning, 2021, J. Artif. Intell. Res. 70; cleanlab.
    """
    from cleanlab import filter as cleanlab_filter

    if not _has_folds(labels, groups):
        return ()
    targets = np.unique(labels, return_inverse=True)[1]
    # Strong regularization keeps the model from learning wrong labels by heart.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))
    proba = cross_val_predict(
        model, features, targets, groups=groups, cv=StratifiedGroupKFold(N_FOLDS), method="predict_proba"
    )
    # One process: others would import torch again, which takes longer than the computation.
    ranked = cleanlab_filter.find_label_issues(targets, proba, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(map(int, ranked))


def measure_shortcuts(
    traits: Sequence[ImageTraits], labels: NDArray[np.str_], groups: NDArray[np.int64], random_state: int
) -> dict[str, Estimate]:
    """Compute the accuracy of predicting the class from each property alone, cross-validated over groups."""
    if not _has_folds(labels, groups):
        return {}
    endings = OrdinalEncoder().fit_transform([[one.ending] for one in traits])
    table = np.column_stack([[one.values for one in traits], endings])
    columns = {name: [index] for index, name in enumerate(PROPERTIES)} | {"all": list(range(len(PROPERTIES)))}
    # A shallow tree finds thresholds of a property, and cannot learn single images.
    shortcuts = {}
    for name, chosen in columns.items():
        model = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=random_state)
        predicted = cross_val_predict(model, table[:, chosen], labels, groups=groups, cv=StratifiedGroupKFold(N_FOLDS))
        shortcuts[name] = wilson(int((predicted == labels).sum()), len(labels))
    return shortcuts


def _has_folds(labels: NDArray[np.str_], groups: NDArray[np.int64]) -> bool:
    """Return whether there are several classes, each with at least one group per fold."""
    classes = np.unique(labels)
    return len(classes) > 1 and min(len(np.unique(groups[labels == label])) for label in classes) >= N_FOLDS
