"""Pascal VOC annotations: the files of a folder, and what they hold."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal
from xml.etree import ElementTree

from maskkit._images.listing import check_listable, list_folders, list_images, natural_key
from maskkit._images.orientation import Size
from maskkit.datasets._folders import check_folder, check_on_error
from maskkit.datasets._frames import Annotation, check_frame
from maskkit.datasets._photos import AnnotatedPhoto, make_photos
from maskkit.exceptions import DataError

LAYOUTS = "want annotations/*.xml beside images/, or *.xml beside the images (Pascal VOC); of COCO, pass the file"
_IMAGE_FOLDERS = ("images", "jpegimages")
_MULTI_BYTE = re.compile(rb"""\s*<\?xml[^>]*encoding=["']((?:gb|big5|euc|shift|iso-2022|cp9)[\w.-]*)["']""", re.I)
_EDGES = ("xmin", "ymin", "xmax", "ymax")


def load_photos(
    folder: str | os.PathLike[str],
    *,
    on_error: Literal["raise", "skip"] = "raise",
    frame: Literal["auto", "stored", "upright"] = "auto",
) -> list[AnnotatedPhoto]:
    """Load the paths of photos and the boxes of their faces from Pascal VOC annotations.

    Parameters
    ----------
    folder : str or Path
        Path to a folder with ``annotations/*.xml`` beside ``images/`` (or ``JPEGImages/``), or with
        ``*.xml`` beside the images. The image of an annotation is the one with the same stem, or else the
        one that its ``<filename>`` names, with or without an ending. Images without annotation are ignored.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` no pixels are read, so an unreadable image raises when it is used. With ``"skip"``
        each image is decoded now, and photos whose annotation or image cannot be read are left out with one
        warning.
    frame : {"auto", "stored", "upright"}, default="auto"
        Pixels on which the boxes were drawn, for photos with an EXIF orientation: as they are stored, or upright, as
        they are displayed. ``"auto"``: as ``<size>`` and the boxes show it, or else as in the other photos of the
        folder that show it.

    Returns
    -------
    photos : list of AnnotatedPhoto
        Photos in natural order of the names of the annotations. Edges are xmin, ymin, xmax and ymax, turned if they
        were drawn on stored pixels, otherwise unchanged, and labels are ``<name>``. Photos without faces are included.

    Raises
    ------
    DataError
        If the folder is missing or contains no annotation; with ``"raise"`` also if an annotation is malformed, its
        image is missing or has another size than ``<size>``, a box is empty, a fraction or outside the photo, or its
        frame is unknown. The message names the file.
    ValueError
        If `on_error` or `frame` is unknown.

    Warns
    -----
    SkippedImageWarning
        If photos were left out.
    UserWarning
        If labels differ in spelling only.
    """
    check_on_error(on_error)
    check_frame(frame)
    paths, images = list_annotations(check_folder(folder))
    first: dict[Path, Path] = {}
    return make_photos(
        paths,
        lambda path: _check_alone(path, read_annotation(path, images), first),
        name=str(folder),
        on_error=on_error,
        frame=frame,
    )


def _check_alone(path: Path, annotation: Annotation, first: dict[Path, Path]) -> Annotation:
    """Return an annotation; raise DataError if another, kept in `first` by its image, has the same image.

    Evaluated on its own, each would count the other's faces as missed or invented.
    """
    other = first.setdefault(annotation.image, path)
    if other != path:
        raise DataError(
            f"{path}: its image, {annotation.image}, is also that of {other}; want one annotation per photo. "
            f"Merge them, or correct <filename>."
        )
    return annotation


class ImageFinder:
    """Finds images by the names that annotations give them; case, accents' encoding and endings may differ."""

    def __init__(self, images: Sequence[Path]):
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in images:
            self._by_name[_normalize(path.name)].append(path)
            self._by_stem[_normalize(path.stem)].append(path)

    def find(self, annotation: Path, filename: str) -> Path:
        """Return the image of an annotation whose ``<filename>`` is that.

        Raises DataError if there is none, or several from which `filename` does not choose one.
        """
        # Annotations made on Windows separate folders by backslashes.
        named = PurePath(filename.replace("\\", "/")).name
        candidates: list[Path] = []
        for stem in dict.fromkeys((annotation.stem, named, PurePath(named).stem)):
            candidates = _narrow(self._by_stem[_normalize(stem)] or self._by_name[_normalize(stem)], stem, named)
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                break
        found = f"several images ({', '.join(map(str, candidates))})" if candidates else "no image"
        raise DataError(
            f"{annotation}: {found} of that name, and <filename> is {filename!r}; want one image. "
            f"Add it or remove the annotation."
        )


def _narrow(images: list[Path], stem: str, named: str) -> list[Path]:
    """Narrow images of similar names down to those that are named exactly so, if there are any."""
    for matches in (
        [path for path in images if path.name == named],
        [path for path in images if path.stem == stem or path.name == stem],
    ):
        images = matches or images
        if len(images) == 1:
            break
    return images


def _normalize(name: str) -> str:
    # Systems write accents as one character or as two; those that ignore case do not keep it.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def list_annotations(folder: Path) -> tuple[list[Path], ImageFinder]:
    """List the annotations of a folder in natural order, and the images that they may belong to.

    Raises DataError if there is no annotation.
    """
    folders = {path.name.lower(): path for path in list_folders(folder)}
    annotated = folders.get("annotations", folder)
    image_folders = [folders[name] for name in _IMAGE_FOLDERS if name in folders]
    for needed in (annotated, *image_folders):
        check_listable(needed)
    annotations = [path for path in annotated.iterdir() if path.suffix.lower() == ".xml" and not path.is_dir()]
    annotations = sorted((path for path in annotations if not path.name.startswith(".")), key=natural_key)
    if not annotations:
        raise DataError(f"{annotated}: contains no annotation (*.xml); {LAYOUTS}.")
    return annotations, ImageFinder(
        [path for image_folder in image_folders or [annotated] for path in list_images(image_folder)]
    )


def read_annotation(path: Path, images: ImageFinder) -> Annotation:
    """Read one annotation; raise DataError if it cannot be read, is malformed or its image is missing."""
    root = _parse(path)
    if root.tag != "annotation":
        raise DataError(f"{path}: begins with <{root.tag}>; want <annotation> (Pascal VOC).")
    image = images.find(path, (root.findtext("filename") or "").strip())
    # Some programs put all objects into another element.
    faces = list(root.iter("object"))
    try:
        n_boxes = len(list(root.iter("bndbox")))
        if n_boxes and not faces:
            raise DataError("has <bndbox> outside of any <object>; want one <object> for each face.")
        size = _read_size(root)
        boxes, labels = [_read_box(face) for face in faces], [_read_label(face) for face in faces]
        return Annotation(str(path), image, size, boxes, labels, "<size>")
    except DataError as exc:
        raise DataError(f"{path}: {exc}") from exc


def _parse(path: Path) -> ElementTree.Element:
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise DataError(f"{path}: cannot be read ({exc.strerror}); check the file or remove it.") from exc
    # Since 2.4.1 (2021) Expat itself stops entity expansion attacks, and ElementTree resolves no
    # external entities, so another parser (defusedxml) would add nothing.
    try:
        # Expat knows no encodings of several bytes per character besides UTF-8 and UTF-16; Python does.
        if declared := _MULTI_BYTE.match(content):
            text = content.decode(declared[1].decode("ascii"))
            return ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*>", "", text))
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, ValueError) as exc:  # the latter two: a wrong encoding
        raise DataError(f"{path}: is not well-formed XML ({exc}); correct the file or remove it.") from exc


def _read_size(root: ElementTree.Element) -> Size | None:
    """Return ``<size>`` as width and height; None if it is missing, empty or 0, as some programs write it."""
    texts = [(root.findtext(f"size/{side}") or "0").strip() or "0" for side in ("width", "height")]
    try:
        width, height = (float(text) for text in texts)
        if 0 in (width, height):
            return None
        if width != int(width) or height != int(height) or min(width, height) < 0:
            raise ValueError
    except (ValueError, OverflowError) as exc:
        raise DataError(f"its <size> is {' x '.join(map(repr, texts))}; want width and height in pixels.") from exc
    return int(width), int(height)


def _read_box(face: ElementTree.Element) -> list[float]:
    if len(face.findall("bndbox")) > 1:
        raise DataError("an <object> has several <bndbox>; want one <object> for each face.")
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
