"""Pascal VOC annotations: the files of a folder, and what they hold."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from xml.etree import ElementTree

from maskkit._images.listing import check_listable, list_folders, list_images, natural_key
from maskkit._images.orientation import Size
from maskkit.exceptions import DataError

LAYOUTS = "want annotations/*.xml beside images/, or *.xml beside the images (Pascal VOC)"
_IMAGE_FOLDERS = ("images", "jpegimages")
_MULTI_BYTE = re.compile(rb"""\s*<\?xml[^>]*encoding=["']((?:gb|big5|euc|shift|iso-2022|cp9)[\w.-]*)["']""", re.I)
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Annotation:
    """Content of an annotation file.

    `image` is the path of its image, `size` the width and height that it states, if any, and `boxes` are left, top,
    right and bottom of each face.
    """

    path: Path
    image: Path
    size: Size | None
    boxes: list[list[float]]
    labels: list[str]


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
        return Annotation(path, image, size, [_read_box(face) for face in faces], [_read_label(face) for face in faces])
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
