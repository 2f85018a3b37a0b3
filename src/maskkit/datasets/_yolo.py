"""YOLO data sets: a YAML file that lists folders of images, and a text file of boxes for each image."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from sklearn.utils import Bunch

from maskkit._images.listing import find_images_below
from maskkit._images.load import read_header
from maskkit._text import check_path
from maskkit.datasets._faces import FaceBunch
from maskkit.datasets._folders import check_on_error
from maskkit.datasets._frames import Annotation, Frame, check_frame
from maskkit.datasets._photos import make_photos
from maskkit.exceptions import DataError, ImageError

ENDINGS = (".yaml", ".yml")
_SPLITS = ("train", "val", "test")
# Boxes at the edge may reach over it by a rounding error.
_TOLERANCE = 0.01


def load_yolo(
    data: str | os.PathLike[str],
    *,
    on_error: Literal["raise", "skip"] = "raise",
    frame: Frame = "auto",
) -> Bunch:
    """Load the paths of photos and the boxes of their faces from a YOLO data set.

    Parameters
    ----------
    data : str or Path
        Path to the YAML file, or to a folder with ``data.yaml``. The file has ``names`` and folders of images (or a
        text file that lists images) in ``train``, ``val`` and ``test``. The boxes of ``images/a.jpg`` are in
        ``labels/a.txt``, one line per face: class, x and y of the center, width, height, in fractions of the photo; or
        class and a polygon. An image without such a file has no face.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` no pixels are read but the sizes of images. With ``"skip"`` each image is decoded now, and
        photos whose boxes or image cannot be read are left out with one warning per split.
    frame : {"auto", "stored", "upright"}, default="auto"
        Pixels on which the boxes were drawn, for photos with an EXIF orientation: as they are stored, or upright, as
        they are displayed. The file does not show it, so ``"auto"`` raises if such a photo has faces.

    Returns
    -------
    photos : sklearn.utils.Bunch
        A list of AnnotatedPhoto for each split, in natural order: ``photos.train``; and `splits`, dict of name -> list.

    Raises
    ------
    DataError
        If the file cannot be read or misses a part, a folder is missing, a line is malformed, or a photo is turned and
        `frame` is ``"auto"``. The message names the file and the line.
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
    path = find_data_file(check_path(data, DataError))
    content = _read_yaml(path)
    names = _read_names(path, content)
    splits = {}
    for split in (name for name in _SPLITS if content.get(name)):
        images = _list_images(path, content, split)
        splits[split] = make_photos(
            images, lambda image: _read(image, names, frame), name=f"{path}: {split}", on_error=on_error, frame=frame
        )
        if not any(len(photo.labels) for photo in splits[split]):
            raise DataError(
                f"{path}: {split}: none of its {len(images)} images has a box; want labels/NAME.txt for "
                f"images/NAME.jpg, such as {_label_file(images[0])}."
            )
    return FaceBunch(splits=splits, **splits)


def find_data_file(path: Path) -> Path:
    """Return the YAML file of a YOLO data set, which may be given by its folder."""
    return path / "data.yaml" if (path / "data.yaml").is_file() else path


def _read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file of a YOLO data set; raise DataError if it is none."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as exc:
        hint = "pass its YAML file" if path.is_dir() else "check the path"
        raise DataError(f"{path}: cannot be read ({exc.strerror}); {hint}.") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        reason = " ".join(str(exc).split())
        raise DataError(f"{path}: is not YAML ({reason}); correct the file or export it again.") from exc
    if not isinstance(content, dict) or not any(content.get(split) for split in _SPLITS):
        raise DataError(f"{path}: lists no images; want 'train: images/train', and val or test if any (YOLO).")
    return content


def _read_names(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    names = content.get("names")
    numbered = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(numbered, dict) or not all(type(index) is int and str(name) for index, name in numbered.items()):
        raise DataError(f"{path}: its names are {names!r}; want a list of classes, or a class for each number.")
    return {index: str(name) for index, name in numbered.items()}


def _list_images(path: Path, content: Mapping[str, Any], split: str) -> list[Path]:
    sources = content[split] if isinstance(content[split], list) else [content[split]]
    images: list[Path] = []
    for source in map(str, sources):
        root = str(content.get("path") or "")
        # Exports of Roboflow have "../train/images" for the folder "train/images" beside the file.
        tried = [path.parent / root / source, path.parent / source, path.parent / source.removeprefix("../")]
        found = next((place for place in tried if place.exists()), None)
        if found is None:
            shown = ", ".join(dict.fromkeys(map(str, tried)))
            raise DataError(f"{path}: {split}: no such folder: {shown}; correct {split} or path in the file.")
        images += find_images_below(found) if found.is_dir() else _read_list(found)
    if not images:
        raise DataError(f"{path}: {split}: contains no image in {', '.join(map(str, sources))}; correct the file.")
    return images


def _read_list(file: Path) -> list[Path]:
    """Return the images that a text file lists, one per line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{file}: cannot be read as a list of images ({exc}); want one path per line.") from exc
    return [file.parent / line.strip() for line in lines if line.strip()]


def _label_file(image: Path) -> Path:
    """Return the file of boxes: in the last folder named images, labels takes the place of that name."""
    parts = list(image.with_suffix(".txt").parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _read(image: Path, names: Mapping[int, str], frame: Frame) -> Annotation:
    file = _label_file(image)
    if not file.exists():
        return Annotation(str(image), image, None, [], [])
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{file}: cannot be read ({exc}); check the file.") from exc
    faces = [_read_line(line, names, f"{file}: line {at}") for at, line in enumerate(lines, start=1) if line.strip()]
    if not faces:
        return Annotation(str(file), image, None, [], [])
    try:
        header = read_header(image)
    except ImageError as exc:
        raise DataError(f"{exc} Its size is needed for the boxes of {file}.") from exc
    if frame == "auto" and header.orientation != 1:
        raise DataError(
            f"{file}: its boxes are drawn on the stored pixels of {image} or on the photo as it is displayed (EXIF "
            f"orientation {header.orientation}), and nothing shows on which. Pass frame='stored' or frame='upright', "
            f"or save the photo upright, without the EXIF orientation."
        )
    size = header.stored_size if frame == "stored" else header.upright_size
    boxes = (np.array([box for box, _ in faces]) * np.tile(size, 2)).tolist()
    return Annotation(str(file), image, size, boxes, [label for _, label in faces])


def _read_line(line: str, names: Mapping[int, str], name: str) -> tuple[list[float], str]:
    """Return left, top, right and bottom of a face in fractions of its photo, and its label."""
    try:
        number, *values = map(float, line.split())
    except ValueError:
        number, values = math.nan, []
    if not number.is_integer() or not (len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)):
        raise DataError(
            f"{name}: is {line.strip()[:80]!r}; want five numbers, class, x and y of the center, width, height, or the "
            f"class and the points of a polygon."
        )
    if int(number) not in names:
        raise DataError(
            f"{name}: has the class {int(number)}; want one of {', '.join(map(str, names))}, the numbers of names in "
            f"the YAML file."
        )
    if len(values) == 4:
        x, y, width, height = values
        box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    else:
        box = [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    is_inside = all(-_TOLERANCE <= edge <= 1 + _TOLERANCE for edge in box)
    if not is_inside or box[0] >= box[2] or box[1] >= box[3]:
        raise DataError(
            f"{name}: its box is {[round(edge, 4) for edge in box]}, left, top, right, bottom; want fractions of the "
            f"photo, 0 to 1, with a width and a height above 0. Divide pixels by the photo's width and height."
        )
    return box, names[int(number)]
