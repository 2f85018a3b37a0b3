"""Audits of data sets: duplicates, leakage between splits, label errors and shortcuts."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._display.collage import compose_tiles
from maskkit._display.tables import Estimate, Rows, Table, Tabulated
from maskkit._files.outputs import check_output_folder, create_numbered, encode_picture
from maskkit._images.load import load_image, name_source
from maskkit._images.prefetch import prefetch_map
from maskkit._model.embedder import FaceEmbedder
from maskkit._optional import require
from maskkit.datasets._audit_checks import (
    ImageTraits,
    find_duplicates,
    find_label_issues,
    find_obstacle,
    group_duplicates,
    measure_image,
    measure_shortcuts,
)
from maskkit.datasets._faces import FaceData, as_photos, as_splits

# Duplicates are as similar at this size as at the backbone's own 224 px, in a third of the time.
FEATURES_PX = 128

_MAX_DUPLICATES_SHOWN, _MAX_LABEL_ISSUES_SHOWN = 24, 48
_MAX_ROWS = 10


@dataclass(frozen=True, eq=False)
class Audit(Tabulated):
    """Result of an audit.

    Attributes
    ----------
    sources : list of images
        The images that can be read.
    names, labels, splits : list of str
        Name, label and split of each of them.
    groups : ndarray of shape (n_images,), int64
        Group of each image, in the order of `sources`: equal for images that are duplicates, directly or through
        others. Suits scikit-learn's `GroupKFold`.
    duplicates : ndarray of shape (n_pairs, 2), int64
        Pairs of indices of near or exact duplicates.
    n_exact : int
        Number of images whose pixels equal those of an earlier image.
    label_issues : tuple of int
        Indices of images whose label is probably wrong, most likely errors first.
    suggested_labels : tuple of str
        For each of them, the label that the other images suggest.
    shortcuts : dict of str to Estimate
        Property -> cross-validated accuracy of predicting the class from this property alone; ``"all"`` for all
        properties together.
    majority : float
        Share of the largest class: the accuracy of always predicting it.
    unreadable : dict of str to str
        Name -> reason.
    not_measured : str
        Why label issues and shortcuts were not measured; empty if they were.
    """

    sources: list[Any]
    names: list[str]
    labels: list[str]
    splits: list[str]
    groups: NDArray[np.int64]
    duplicates: NDArray[np.int64]
    n_exact: int
    label_issues: tuple[int, ...]
    suggested_labels: tuple[str, ...]
    shortcuts: dict[str, Estimate]
    majority: float
    unreadable: dict[str, str]
    not_measured: str

    @property
    def n_leaked(self) -> int:
        """Number of images outside the first split that have a duplicate in it."""
        in_first = np.array(self.splits) == self.splits[0]
        return int((~in_first & np.isin(self.groups, self.groups[in_first])).sum())

    def tables(self) -> tuple[Table, ...]:
        """Return the results as tables."""
        n_conflicts = sum(self.labels[first] != self.labels[second] for first, second in self.duplicates)
        found: Rows = (
            ("images", len(self.names)),
            ("unreadable", len(self.unreadable)),
            ("exact duplicates", self.n_exact),
            ("pairs of near-duplicates", len(self.duplicates)),
            ("distinct images (groups)", len(np.unique(self.groups))),
            ("images in the largest group", int(np.bincount(self.groups).max())),
            (f"leaked: duplicates of {self.splits[0]} in other splits", self.n_leaked),
            ("pairs of duplicates with different labels", n_conflicts),
            # Label issues need the same folds as shortcuts, so both are measured or none.
            ("label issues", "not measured" if self.not_measured else len(self.label_issues)),
        )
        counts = Counter(zip(self.splits, self.labels, strict=True))
        class_rows: Rows = tuple((split, label, count) for (split, label), count in sorted(counts.items()))
        tables = [
            Table("Audit", ("result", "number"), found, "Nothing was changed or deleted."),
            Table("Classes", ("split", "class", "images"), class_rows),
            self._shortcut_table(),
        ]
        if self.label_issues:
            suspects = list(zip(self.label_issues, self.suggested_labels, strict=True))[:_MAX_ROWS]
            rows: Rows = tuple((self.names[index], self.labels[index], label) for index, label in suspects)
            tables.append(Table("Most likely label errors", ("image", "label", "suggested label"), rows))
        return tuple(tables)

    def _shortcut_table(self) -> Table:
        columns = ("property", "accuracy [95 % interval]", "compared with guessing")
        if self.not_measured:
            return Table("Shortcuts", columns, (), f"Not measured: {self.not_measured}.")
        rows: Rows = tuple(
            (name, estimate, "better" if estimate.low > self.majority else "no better")
            for name, estimate in self.shortcuts.items()
        )
        note = (
            f"Guessing, which is always predicting the largest class, reaches {self.majority:.3f}. A network may learn "
            "properties far above it instead of masks. A property that tells nothing may be below it, and with few "
            "images far below."
        )
        return Table("Shortcuts", columns, rows, note)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {
            "n_images": len(self.names),
            "n_groups": len(np.unique(self.groups)),
            "n_exact": self.n_exact,
            "n_leaked": self.n_leaked,
            "unreadable": self.unreadable,
            "duplicates": [[self.names[first], self.names[second]] for first, second in self.duplicates],
            "label_issues": [
                {"image": self.names[index], "label": self.labels[index], "suggested": suggested}
                for index, suggested in zip(self.label_issues, self.suggested_labels, strict=True)
            ],
            "shortcuts": {
                name: {"value": estimate.value, "low": estimate.low, "high": estimate.high}
                for name, estimate in self.shortcuts.items()
            },
            "majority": self.majority,
            "not_measured": self.not_measured,
            "images": [
                {"image": name, "label": label, "split": split, "group": int(group)}
                for name, label, split, group in zip(self.names, self.labels, self.splits, self.groups, strict=True)
            ],
        }

    def save_pictures(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``duplicates.png``, with pairs side by side, and ``label_issues.png``.

        Parameters
        ----------
        folder : str or Path
            Path to a folder, which is created if missing. A picture without images is not written. No file is
            replaced: if it contains such pictures, the new ones get a number, as in ``duplicates-2.png``.

        Returns
        -------
        folder : Path
        """
        folder = check_output_folder(folder)
        # Pairs are sorted by image. Those shown are spread evenly, so that not all come from the first class.
        n_pairs = len(self.duplicates)
        shown = np.unique(np.linspace(0, n_pairs - 1, min(n_pairs, _MAX_DUPLICATES_SHOWN)).astype(np.int64))
        sheets = {
            "duplicates": self.duplicates[shown].ravel().tolist(),
            "label_issues": self.label_issues[:_MAX_LABEL_ISSUES_SHOWN],
        }
        pictures: dict[tuple[str, str], bytes] = {}
        for name, indices in sheets.items():
            if indices:
                images = [Image.fromarray(load_image(self.sources[index])) for index in indices]
                labels = [self.labels[index] for index in indices]
                tiles = compose_tiles(images, labels, sorted(set(self.labels)), 8, (112, 112))
                pictures[name, ".png"] = encode_picture(tiles, "tiles.png")
        create_numbered(folder, pictures)
        return folder


def audit(faces: FaceData, *, random_state: int = 0) -> Audit:
    """Find near-duplicates, split leakage, label errors and shortcut features.

    No file is changed or deleted. Needs the extra ``audit``.

    Parameters
    ----------
    faces : Bunch or tuple
        Data from `load_faces`, whole or one split; or (paths, labels).
    random_state : int, default=0
        Seed of the models.

    Returns
    -------
    audit : Audit
        Can be printed with rich; `audit.groups` suits `GroupKFold`.

    Raises
    ------
    MissingLibraryError
        If the extra ``audit`` is not installed.
    TypeError, ValueError
        If `faces` is another kind of data, or has fewer than two images that can be read.

    Notes
    -----
    Duplicates are found by perceptual hash, including mirror images, and by features of a frozen EfficientNet-Lite0,
    computed in float32 on every processor.
    Images are duplicates if they are more alike than different images of this set are expected to be; the set itself
    determines the limit. Duplicates that are rotated and cropped are found in part: see the measurements.

    Examples
    --------
    >>> found = audit(load_faces("face-mask-12k"))  # doctest: +SKIP
    >>> cross_val_score(model, paths, labels, cv=GroupKFold(5), groups=found.groups)  # doctest: +SKIP
    """
    for library in ("imagehash", "cleanlab"):
        require(library, "audit")
    if as_photos(faces) is not None:
        raise TypeError("faces contains annotated photos; want face crops, such as load_faces returns.")
    rows = [
        (path, label, split)
        for split, (paths, labels) in as_splits(faces).items()
        for path, label in zip(paths, labels.tolist(), strict=True)
    ]
    names = [name_source(path, index) for index, (path, _, _) in enumerate(rows)]
    measured = list(prefetch_map(measure_image, range(len(rows)), [path for path, _, _ in rows]))
    kept = [index for index, result in enumerate(measured) if isinstance(result, ImageTraits)]
    traits = [result for result in measured if isinstance(result, ImageTraits)]
    if len(kept) < 2:
        raise ValueError(f"faces has {len(kept)} readable images; want two or more.")
    sources, kept_labels, splits = (list(column) for column in zip(*(rows[index] for index in kept), strict=True))
    labels = np.array(kept_labels)
    # In bfloat16, which only some processors have, rounding would decide about images that are close to a limit.
    embedder = FaceEmbedder(
        "efficientnet_lite0", image_size=FEATURES_PX, precision="float32", random_state=random_state
    )
    features = embedder.fit_transform(sources)
    duplicates = find_duplicates(traits, features)
    groups = group_duplicates(duplicates, len(kept))
    obstacle = find_obstacle(labels, groups)
    issues, suggested = ((), ()) if obstacle else find_label_issues(features, labels, groups, random_state)
    return Audit(
        sources,
        [names[index] for index in kept],
        kept_labels,
        splits,
        groups,
        duplicates,
        len(kept) - len({one.digest for one in traits}),
        issues,
        suggested,
        {} if obstacle else measure_shortcuts(traits, labels, groups, random_state),
        float(np.unique(labels, return_counts=True)[1].max() / len(kept)),
        {names[index]: result for index, result in enumerate(measured) if isinstance(result, str)},
        obstacle,
    )
