"""Photos with the boxes of their faces, from Pascal VOC annotations."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from maskkit._images.listing import check_listable, list_folders, list_images, natural_key
from maskkit.datasets._folders import check_folder, check_on_error, find_unreadable, warn_of_skipped
from maskkit.exceptions import DataError

_LAYOUTS = "want annotations/*.xml beside images/, or *.xml beside the images (Pascal VOC)"
_IMAGE_FOLDERS = ("images", "jpegimages")
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPhoto:
    """A photo with the boxes and classes of its faces.

    Parameters
    ----------
    path : Path
        Path to the photo.
    boxes_xyxy : ndarray of shape (n_faces, 4), float32
        Left, top, right, bottom in pixels of the photo. A box may extend beyond the photo.
    labels : ndarray of shape (n_faces,), str
        Class of each face.

    Raises
    ------
    DataError
        If boxes and labels differ in number, or a box is not finite, is empty or has its edges swapped; the
        message names the photo.
    """

    path: Path
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.str_]

    def __post_init__(self) -> None:
        boxes = np.array(self.boxes_xyxy, dtype=np.float32)
        boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
        labels = np.array(self.labels, dtype=np.str_)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or labels.shape != (len(boxes),):
            raise DataError(
                f"{self.path}: boxes_xyxy has shape {boxes.shape} and labels {labels.shape}; want (n, 4) and (n,)."
            )
        valid = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if not valid.all():
            box = tuple(boxes[~valid][0].tolist())
            raise DataError(
                f"{self.path}: the box {box} is empty, has swapped edges or is not finite; "
                f"want left < right and top < bottom, in pixels. Correct or remove it."
            )
        # The dataclass is frozen, so converted values can only be set this way.
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "boxes_xyxy", boxes)
        object.__setattr__(self, "labels", labels)


def load_photos(
    folder: str | os.PathLike[str], *, on_error: Literal["raise", "skip"] = "raise"
) -> list[AnnotatedPhoto]:
    """Load the paths of photos and the boxes of their faces from Pascal VOC annotations.

    Parameters
    ----------
    folder : str or Path
        Path to a folder with ``annotations/*.xml`` beside ``images/`` (or ``JPEGImages/``), or with
        ``*.xml`` beside the images. The image of an annotation is the one with the same stem, or else the
        one that its ``<filename>`` names. Images without annotation are ignored.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` no image is opened, so an unreadable image raises when it is used. With ``"skip"``
        each image is decoded now, and photos whose annotation or image cannot be read are left out with one
        warning.

    Returns
    -------
    photos : list of AnnotatedPhoto
        Photos in natural order of the names of the annotations. Edges are xmin, ymin, xmax and ymax, unchanged,
        and labels are ``<name>``. Photos without faces are included.

    Raises
    ------
    DataError
        If the folder is missing or contains no annotation; with ``"raise"`` also if an annotation is
        malformed, its image is missing or a box is empty. The message names the file.
    ValueError
        If `on_error` is unknown.

    Warns
    -----
    SkippedImageWarning
        If photos were left out.
    """
    check_on_error(on_error)
    annotations, images = _find_annotations(check_folder(folder))
    if on_error == "raise":
        return [_read_annotation(path, images) for path in annotations]
    photos, skipped = [], {}
    for path in annotations:
        try:
            photos.append(_read_annotation(path, images))
        except DataError as exc:
            skipped[path] = str(exc)
    unreadable = find_unreadable([photo.path for photo in photos])
    warn_of_skipped(skipped | unreadable, len(annotations), "photos")
    return [photo for photo in photos if photo.path not in unreadable]


def _find_annotations(folder: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """Return the annotations of a folder in natural order, and its images by stem."""
    folders = {path.name.lower(): path for path in list_folders(folder)}
    annotated = folders.get("annotations", folder)
    image_folders = [folders[name] for name in _IMAGE_FOLDERS if name in folders]
    for needed in (annotated, *image_folders):
        check_listable(needed)
    annotations = [path for path in annotated.iterdir() if path.suffix.lower() == ".xml"]
    annotations = sorted((path for path in annotations if not path.name.startswith(".")), key=natural_key)
    if not annotations:
        raise DataError(f"{annotated}: contains no annotation (*.xml); {_LAYOUTS}.")
    images: dict[str, list[Path]] = defaultdict(list)
    for image_folder in image_folders or [annotated]:
        for path in list_images(image_folder):
            images[path.stem].append(path)
    return annotations, images


def _read_annotation(path: Path, images: dict[str, list[Path]]) -> AnnotatedPhoto:
    """Read one annotation; raise DataError if it is malformed or its image is missing."""
    # Since 2.4.1 (2021) Expat itself stops entity expansion attacks, and ElementTree resolves no
    # external entities, so another parser (defusedxml) would add nothing.
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as exc:  # the latter two: a wrong encoding
        raise DataError(f"{path}: is not well-formed XML ({exc}); correct the file or remove it.") from exc
    except OSError as exc:
        raise DataError(f"{path}: cannot be read ({exc.strerror}); check the file or remove it.") from exc
    if root.tag != "annotation":
        raise DataError(f"{path}: begins with <{root.tag}>; want <annotation> (Pascal VOC).")
    # Annotations made on Windows separate folders by backslashes.
    filename = Path((root.findtext("filename") or "").strip().replace("\\", "/"))
    image = _choose_image(path, filename.name, images.get(path.stem) or images.get(filename.stem) or [])
    faces = root.findall("object")
    try:
        boxes = np.array([_read_box(face) for face in faces], dtype=np.float32)
        return AnnotatedPhoto(image, boxes, np.array([_read_label(face) for face in faces], dtype=np.str_))
    except DataError as exc:
        raise DataError(f"{path}: {exc}") from exc


def _choose_image(path: Path, filename: str, candidates: list[Path]) -> Path:
    if len(candidates) == 1 and candidates[0].stem == path.stem:
        return candidates[0]
    # Several images have this stem, such as a.png and a.jpg, or none has, and the file was renamed.
    named = [image for image in candidates if image.name == filename]
    if len(named) == 1:
        return named[0]
    found = f"several images ({', '.join(map(str, candidates))})" if candidates else "no image"
    raise DataError(
        f"{path}: {found} of that name, and <filename> is {filename!r}; want one image. "
        f"Add it or remove the annotation."
    )


def _read_box(face: ElementTree.Element) -> list[float]:
    edges = {edge: face.findtext(f"bndbox/{edge}") for edge in _EDGES}
    try:
        return [float(text or "") for text in edges.values()]
    except ValueError as exc:
        raise DataError(f"the box {edges} is not four numbers; correct it or remove its <object>.") from exc


def _read_label(face: ElementTree.Element) -> str:
    label = (face.findtext("name") or "").strip()
    if not label:
        raise DataError("an <object> has no <name>; want its class. Add the name or remove the object.")
    return label
