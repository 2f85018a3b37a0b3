"""Photos with the boxes of their faces, from Pascal VOC annotations."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from maskkit.datasets._folders import list_folders, list_images, natural_key
from maskkit.exceptions import DataError

WANTED = "want annotations/*.xml beside images/, or *.xml beside the images (Pascal VOC)"
_IMAGE_FOLDERS = ("images", "jpegimages")
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPhoto:
    """A photo and the faces that somebody marked in it.

    Parameters
    ----------
    path : Path
        Of the photo.
    boxes_xyxy : ndarray of shape (n_faces, 4), float32
        Left, top, right, bottom in pixels of the photo. May reach over its edge.
    labels : ndarray of shape (n_faces,), str
        The class of each face.

    Raises
    ------
    DataError
        If boxes and labels do not belong together, a box is not finite, empty or turned over; the
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
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if not sound.all():
            box = tuple(boxes[~sound][0].tolist())
            raise DataError(
                f"{self.path}: the box {box} is empty, turned over or not finite; "
                f"want left < right and top < bottom, in pixels. Correct or remove it."
            )
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "boxes_xyxy", boxes)
        object.__setattr__(self, "labels", labels)


def find_annotations(folder: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """Find the annotations of a folder and the images they may speak of.

    Returns
    -------
    annotations : list of Path
        In natural order.
    images : dict
        Name without ending -> paths of the images so called.

    Raises
    ------
    DataError
        If the folder holds no annotation.
    """
    folders = {path.name.lower(): path for path in list_folders(folder)}
    annotated = folders.get("annotations", folder)
    holds_images = [folders[name] for name in _IMAGE_FOLDERS if name in folders]
    annotations = [path for path in annotated.iterdir() if path.suffix.lower() == ".xml"]
    annotations = sorted((path for path in annotations if not path.name.startswith(".")), key=natural_key)
    if not annotations:
        raise DataError(f"{annotated}: holds no annotation (*.xml); {WANTED}.")
    images: dict[str, list[Path]] = defaultdict(list)
    for place in holds_images or [annotated]:
        for path in list_images(place):
            images[path.stem].append(path)
    return annotations, images


def read_annotation(path: Path, images: dict[str, list[Path]]) -> AnnotatedPhoto:
    """Read one annotation.

    Parameters
    ----------
    path : Path
        Of the XML file.
    images : dict
        From `find_annotations`. The image of the annotation's own name is taken; where there is
        none, or there are several, the one that ``<filename>`` names.

    Returns
    -------
    photo : AnnotatedPhoto
        Edges as the file has them.

    Raises
    ------
    DataError
        If the file is not a sound annotation or its image is missing; the message names the file.
    """
    # Since 2.4.1 (2021) Expat itself stops entities that blow up, and ElementTree follows no
    # external ones, so that a parser of our own choosing (defusedxml) would add nothing.
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as exc:  # the latter two: a wrong encoding
        raise DataError(f"{path}: is not well-formed XML ({exc}); correct the file or remove it.") from exc
    if root.tag != "annotation":
        raise DataError(f"{path}: begins with <{root.tag}>; want <annotation>, as Pascal VOC has it.")
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
    named = [image for image in candidates if image.name == filename]
    if len(named) == 1:
        return named[0]
    found = f"several images ({', '.join(map(str, candidates))})" if candidates else "no image"
    raise DataError(
        f"{path}: {found} of that name, and <filename> is {filename!r}; want one image. "
        f"Put it there or remove the annotation."
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
        raise DataError("an <object> has no <name>; want its class. Name it or remove it.")
    return label
