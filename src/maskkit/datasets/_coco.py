"""COCO annotations: one JSON file for all photos."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

from maskkit._text import check_path
from maskkit.datasets._folders import check_folder, check_on_error
from maskkit.datasets._frames import Annotation, Frame, check_frame
from maskkit.datasets._photos import AnnotatedPhoto, make_photos
from maskkit.exceptions import DataError

_PARTS = ("images", "annotations", "categories")


def load_coco(
    annotations: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    frame: Frame = "auto",
) -> list[AnnotatedPhoto]:
    """Load the paths of photos and the boxes of their faces from a COCO file.

    Parameters
    ----------
    annotations : str or Path
        Path to the JSON file, with ``images``, ``annotations`` and ``categories``.
    images : str or Path, optional
        Path to the folder that each ``file_name`` starts from. By default the folder of the file, its subfolder
        ``images``, or the same beside it, or a folder beside it with the last word of the file's name, such as
        ``train2017``.
    on_error : {"raise", "skip"}, default="raise"
        With ``"raise"`` no pixels are read, so an unreadable image raises when it is used. With ``"skip"`` each image
        is decoded now, and photos that are missing or cannot be read are left out with one warning.
    frame : {"auto", "stored", "upright"}, default="auto"
        Pixels on which the boxes were drawn, as in `load_photos`; ``width`` and ``height`` of the image show it.

    Returns
    -------
    photos : list of AnnotatedPhoto
        Photos in the order of ``images``, with the names of their categories as labels. Photos without faces are
        included.

    Raises
    ------
    DataError
        If the file cannot be read or misses a part, an annotation is malformed, an image is missing or of another size,
        or a box is empty or outside its photo. The message names the file and the annotation.
    ValueError
        If `on_error` or `frame` is unknown.

    Warns
    -----
    SkippedImageWarning
        If photos were left out.
    UserWarning
        If labels differ in spelling only, or annotations with ``iscrowd``, which box several faces, were left out.
    """
    check_on_error(on_error)
    check_frame(frame)
    path = check_path(annotations, DataError)
    content = _read(path)
    names = {}
    for place, category in enumerate(content["categories"]):
        name = f"{path}: categories[{place}]"
        names[_get(category, "id", name)] = str(_get(category, "name", name))
    folders = _list_folders(path) if images is None else [check_folder(images)]
    faces = _group_faces(path, content["annotations"], names)
    found: dict[Path, Annotation] = {}
    for place, image in enumerate(content["images"]):
        name = f"{path}: images[{place}]"
        id_, file_name = _get(image, "id", name), str(_get(image, "file_name", name))
        boxes, labels = faces.pop(id_, ([], []))
        file = _find(file_name, folders)
        if file in found:
            raise DataError(f"{name}: {file_name} is an image already; want each once. Merge them.")
        found[file] = Annotation(
            f"{path}: {file_name}", file, _read_size(image), boxes, labels, "its width and height in the file"
        )
    if faces:
        raise DataError(
            f"{path}: an annotation has image_id {next(iter(faces))!r}, which no image has as its id; add the image or "
            f"remove the annotation."
        )

    def read(file: Path) -> Annotation:
        if not os.path.lexists(file):
            raise DataError(
                f"{found[file].name}: no such image in {', '.join(map(str, folders))}; put it there, or pass the "
                f"folder of the images: load_coco(..., images='FOLDER')."
            )
        return found[file]

    return make_photos(found, read, name=str(path), on_error=on_error, frame=frame)


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as exc:
        raise DataError(f"{path}: cannot be read ({exc.strerror}); check the path.") from exc
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise DataError(f"{path}: is not JSON ({exc}); correct the file or export it again.") from exc
    parts = content if isinstance(content, dict) else {}
    missing = [name for name in _PARTS if not isinstance(parts.get(name), list)]
    if missing:
        raise DataError(
            f"{path}: has no list {' and no list '.join(missing)}; want the lists {', '.join(_PARTS)} (COCO, object "
            f"detection)."
        )
    if not parts["images"]:
        raise DataError(f"{path}: its list images is empty; want at least one.")
    return parts


def _get(item: Any, key: str, name: str) -> Any:
    value = item.get(key) if isinstance(item, Mapping) else None
    if value is None or isinstance(value, (dict, list)) != (key == "bbox") or value == "":
        raise DataError(f"{name}: its {key} is {value!r}; want {'four numbers' if key == 'bbox' else 'one value'}.")
    return value


def _read_size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    is_known = all(isinstance(side, (int, float)) and 1 <= side < 1e9 for side in (width, height))
    return (round(width), round(height)) if is_known else None  # type: ignore[arg-type]


def _group_faces(
    path: Path, annotations: Sequence[Any], names: Mapping[Any, str]
) -> dict[Any, tuple[list[list[float]], list[str]]]:
    """Return the boxes and the labels of the faces of each image, by its id."""
    faces: dict[Any, tuple[list[list[float]], list[str]]] = {}
    n_crowds = 0
    for place, annotation in enumerate(annotations):
        id_ = annotation.get("id") if isinstance(annotation, Mapping) else None
        name = f"{path}: annotations[{place}] (id {id_})"
        category = _get(annotation, "category_id", name)
        if category not in names:
            raise DataError(
                f"{name}: its category_id is {category!r}; want an id of categories: "
                f"{', '.join(map(repr, names)) or 'there are none'}."
            )
        if annotation.get("iscrowd"):
            n_crowds += 1
            continue
        boxes, labels = faces.setdefault(_get(annotation, "image_id", name), ([], []))
        boxes.append(read_bbox(_get(annotation, "bbox", name), name))
        labels.append(names[category])
    if n_crowds:
        counted = "1 annotation" if n_crowds == 1 else f"{n_crowds} annotations"
        message = f"{path}: {counted} with iscrowd, which box several faces, were left out."
        warnings.warn(message, UserWarning, stacklevel=3)
    return faces


def read_bbox(bbox: Any, name: str) -> list[float]:
    """Return the edges of a box [x, y, width, height], or raise DataError with `name`."""
    try:
        left, top, width, height = map(float, bbox)
        if width > 0 and height > 0:
            return [left, top, left + width, top + height]
    except (TypeError, ValueError):
        pass
    raise DataError(
        f"{name}: its bbox is {bbox!r}; want [x, y, width, height] in pixels, with a width and a height above 0. "
        f"Correct or remove it."
    )


def _list_folders(path: Path) -> list[Path]:
    """Return the folders that may hold the images of a file."""
    folder = path.absolute().parent
    beside = folder.parent
    tried = (folder, folder / "images", beside / "images", beside / path.stem.rpartition("_")[2], beside)
    return list(dict.fromkeys(tried))


def _find(file_name: str, folders: Sequence[Path]) -> Path:
    """Return the first image of that name, or, if none exists, where it should be."""
    named = PurePath(file_name.replace("\\", "/"))
    tried = [folder / name for name in dict.fromkeys((named, PurePath(named.name))) for folder in folders]
    return next((file for file in tried if os.path.lexists(file)), tried[0])
