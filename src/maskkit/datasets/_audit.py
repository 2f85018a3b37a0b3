"""audit: what is wrong with a data set before anybody trains on it."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from maskkit._display.collage import compose_tiles
from maskkit._display.tables import Estimate, Rows, Table, Tabulated
from maskkit._images.load import load_image, name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._model.embedder import FaceEmbedder
from maskkit.datasets import _copies
from maskkit.datasets._properties import PROPERTIES, Traits, read_traits
from maskkit.evaluation._intervals import wilson

# What counts as a near copy, from pairs of face-mask-12k looked at by eye (docs/measurements.md): hashes
# that differ in so few of their 64 bits, or features, whitened, whose cosine is so high. Few images do not
# span the space that whitening needs; their plain features must be nearly the same.
NEAR_BITS = 4
NEAR_COSINE = 0.6
NEAR_COSINE_OF_FEW = 0.95
_MAX_COMPONENTS, _MIN_COMPONENTS = 256, 32
_IMAGES_PER_COMPONENT = 16
_N_FOLDS = 5
# Copies are as alike at this size as at the backbone's own 224 px, in a third of the time.
FEATURES_PX = 128


@dataclass(frozen=True, eq=False)
class Audit(Tabulated):
    """What an audit found; nothing was changed or deleted.

    Attributes
    ----------
    sources : list of images
        Those that can be read.
    names, labels, splits : list of str
        Of each of them.
    groups : ndarray of shape (n_images,), int64
        Equal for images that are copies of each other, directly or through others; what scikit-learn's
        `GroupKFold` wants. In the order of `names`.
    copies : ndarray of shape (n_pairs, 2), int64
        Pairs of indices of near or exact copies, the exact ones included.
    n_exact : int
        Images whose pixels an earlier image has.
    suspects : tuple of int
        Images whose label is probably wrong, the surest first.
    telling : dict of str to Estimate
        Property -> share of images whose class it tells alone, without looking at the face; ``"all"`` for
        all of them together.
    majority : float
        Share of the largest class: what guessing reaches.
    unreadable : dict of str to str
        Name -> reason.
    """

    sources: list[Any]
    names: list[str]
    labels: list[str]
    splits: list[str]
    groups: NDArray[np.int64]
    copies: NDArray[np.int64]
    n_exact: int
    suspects: tuple[int, ...]
    telling: dict[str, Estimate]
    majority: float
    unreadable: dict[str, str]

    @property
    def n_across(self) -> int:
        """Images outside the first split whose group has an image in it: they leak."""
        first = {group for group, split in zip(self.groups, self.splits, strict=True) if split == self.splits[0]}
        return sum(
            split != self.splits[0] and group in first for group, split in zip(self.groups, self.splits, strict=True)
        )

    def tables(self) -> tuple[Table, ...]:
        """Give what was found as tables."""
        n_groups = len(np.unique(self.groups))
        conflicts = sum(self.labels[first] != self.labels[second] for first, second in self.copies)
        found: Rows = (
            ("images", len(self.names)),
            ("unreadable", len(self.unreadable)),
            ("exact copies of another", self.n_exact),
            ("pairs of near copies", len(self.copies)),
            ("different pictures (groups)", n_groups),
            ("in the largest group", int(np.bincount(self.groups).max())),
            (f"outside {self.splits[0]}, with a copy in it", self.n_across),
            ("pairs of copies with different labels", conflicts),
            # Both are judged by folds of groups, or not at all.
            ("suspect labels", len(self.suspects) if self.telling else "not looked for"),
        )
        counts = Counter(zip(self.splits, self.labels, strict=True))
        balance: Rows = tuple((split, label, count) for (split, label), count in sorted(counts.items()))
        telling: Rows = tuple(self.telling.items())
        suspects: Rows = tuple((self.names[index], self.labels[index]) for index in self.suspects[:10])
        return (
            Table("Audit", ("found", "number"), found, "Nothing was changed or deleted."),
            Table("Classes", ("split", "class", "images"), balance),
            Table(
                "What tells the class without looking at the face",
                ("property", "accuracy [95 % interval]"),
                telling,
                f"Guessing the largest class reaches {self.majority:.3f}. What is far above it may be learnt instead "
                "of masks."
                if self.telling
                else f"Not measured: some class has fewer than {_N_FOLDS} different pictures.",
            ),
            *((Table("Most suspect labels", ("image", "labelled"), suspects),) if suspects else ()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values that JSON can hold."""
        return {
            "n_images": len(self.names),
            "n_groups": len(np.unique(self.groups)),
            "n_exact": self.n_exact,
            "n_across": self.n_across,
            "unreadable": self.unreadable,
            "copies": [[self.names[first], self.names[second]] for first, second in self.copies],
            "suspects": [{"image": self.names[index], "label": self.labels[index]} for index in self.suspects],
            "telling": {name: {"value": e.value, "low": e.low, "high": e.high} for name, e in self.telling.items()},
            "majority": self.majority,
            "images": [
                {"image": name, "label": label, "split": split, "group": int(group)}
                for name, label, split, group in zip(self.names, self.labels, self.splits, self.groups, strict=True)
            ],
        }

    def save_pictures(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``copies.png``, pairs of near copies side by side, and ``suspects.png``; gives the folder.

        Parameters
        ----------
        folder : path
            Made if need be.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        sheets = {"copies": self.copies[_spread(len(self.copies), 24)].ravel().tolist(), "suspects": self.suspects[:48]}
        classes = sorted(set(self.labels))
        for name, chosen in sheets.items():
            if chosen:
                pictures = [Image.fromarray(load_image(self.sources[index])) for index in chosen]
                tiles = compose_tiles(pictures, [self.labels[index] for index in chosen], classes, 8, (112, 112))
                tiles.save(folder / f"{name}.png")
        return folder


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """Choose at most so many of n, spread over all."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.zeros(0, dtype=np.int64)


def audit_faces(sources: Sequence[Any], labels: Sequence[str], splits: Sequence[str], *, random_state: int) -> Audit:
    """Audit images of one face each; see `maskkit.datasets.audit`."""
    measured = list(prefetch_map(read_traits, enumerate(sources)))
    names = [name_source(source, index) for index, source in enumerate(sources)]
    kept = [index for index, traits in enumerate(measured) if isinstance(traits, Traits)]
    unreadable = {names[index]: str(traits) for index, traits in enumerate(measured) if isinstance(traits, str)}
    traits = [one for one in measured if isinstance(one, Traits)]
    if len(kept) < 2:
        raise ValueError(f"faces holds {len(kept)} readable images; want two or more.")
    embedder = FaceEmbedder("efficientnet_lite0", image_size=FEATURES_PX, random_state=random_state)
    features = embedder.fit_transform([sources[index] for index in kept])
    kept_labels = np.array([labels[index] for index in kept])
    copies = _find_copies(traits, features, random_state)
    groups = _copies.group(copies, len(kept))
    return Audit(
        [sources[index] for index in kept],
        [names[index] for index in kept],
        kept_labels.tolist(),
        [splits[index] for index in kept],
        groups,
        copies,
        len(kept) - len({one.digest for one in traits}),
        _find_suspects(features, kept_labels, groups),
        _measure_telling(traits, kept_labels, groups, random_state),
        float(np.unique(kept_labels, return_counts=True)[1].max() / len(kept)),
        unreadable,
    )


def _find_copies(traits: Sequence[Traits], features: NDArray[np.float32], random_state: int) -> NDArray[np.int64]:
    hashes, mirrored = (
        np.array([getattr(one, name) for one in traits], dtype=np.uint64) for name in ("hash", "mirrored")
    )
    n_components = min(_MAX_COMPONENTS, len(features) // _IMAGES_PER_COMPONENT)
    if n_components >= _MIN_COMPONENTS:
        whitened = PCA(n_components, whiten=True, random_state=random_state).fit_transform(features)
        alike = _copies.find_near_features(whitened.astype(np.float32), NEAR_COSINE)
    else:
        alike = _copies.find_near_features(features, NEAR_COSINE_OF_FEW)
    return np.unique(np.concatenate([_copies.find_near_hashes(hashes, mirrored, NEAR_BITS), alike]), axis=0)


def _find_suspects(
    features: NDArray[np.float32], labels: NDArray[np.str_], groups: NDArray[np.int64]
) -> tuple[int, ...]:
    """Find labels that a model trained on the other groups surely contradicts.

    Source: Northcutt, Jiang, Chuang: Confident Learning, 2021, J. Artif. Intell. Res. 70; cleanlab.
    """
    from cleanlab.filter import find_label_issues

    targets = np.unique(labels, return_inverse=True)[1]
    if not _has_folds(targets, groups):
        return ()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))
    proba = cross_val_predict(
        model, features, targets, groups=groups, cv=StratifiedGroupKFold(_N_FOLDS), method="predict_proba"
    )
    found = find_label_issues(targets, proba, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(map(int, found))


def _measure_telling(
    traits: Sequence[Traits], labels: NDArray[np.str_], groups: NDArray[np.int64], random_state: int
) -> dict[str, Estimate]:
    """Measure how well each property tells the class of images of other groups."""
    targets = np.unique(labels, return_inverse=True)[1]
    if not _has_folds(targets, groups):
        return {}
    endings = OrdinalEncoder().fit_transform([[one.ending] for one in traits])
    table = np.column_stack([[one.values for one in traits], endings])
    columns = {name: [index] for index, name in enumerate(PROPERTIES)} | {"all": list(range(len(PROPERTIES)))}
    telling = {}
    for name, chosen in columns.items():
        model = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, random_state=random_state)
        said = cross_val_predict(model, table[:, chosen], targets, groups=groups, cv=StratifiedGroupKFold(_N_FOLDS))
        telling[name] = wilson(int((said == targets).sum()), len(targets))
    return telling


def _has_folds(targets: NDArray[np.int64], groups: NDArray[np.int64]) -> bool:
    """Tell whether every class has a group for each fold."""
    return min(len(np.unique(groups[targets == target])) for target in np.unique(targets)) >= _N_FOLDS
