"""Boxes: overlap, and checks of boxes that come from elsewhere."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskkit.exceptions import DataError

# Share of a box that must lie in its photo: of a face at the edge, annotators also box what is cut off, but of a face
# that is mostly cut off nothing can be seen. Ours.
_MIN_INSIDE = 0.5


def share_of_smaller(boxes: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return the intersections (n, m) of boxes (n, 4) and others (m, 4), as shares of the smaller box of each pair."""
    boxes, others = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    areas = [(some[..., 2:] - some[..., :2]).prod(axis=-1) for some in (boxes, others)]
    return sides.clip(0).prod(axis=-1) / np.maximum(np.minimum(*areas), 1e-6)


def are_fractions(boxes: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each box (n, 4) whether its edges are fractions of the image, from 0 to 1, rather than pixels.

    Such a box lies in the first two pixels, where no face does; detections may reach a little over the image.
    """
    return np.asarray((boxes[:, 2:] < 2).all(axis=1) & (boxes[:, :2] > -1).all(axis=1))


def check_boxes(boxes_xyxy: ArrayLike, n_labels: int, name: str) -> NDArray[np.float32]:
    """Return annotated boxes as float32 (n, 4).

    Raises DataError, with `name`, unless there are as many boxes as labels, each finite, not empty, and in pixels.
    """
    try:
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is refused below
            boxes = np.array(boxes_xyxy, dtype=np.float32)
    except (TypeError, ValueError) as exc:
        raise DataError(f"{name}: boxes_xyxy holds something else than numbers ({exc}); want (n, 4).") from exc
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or n_labels != len(boxes):
        raise DataError(f"{name}: boxes_xyxy has shape {boxes.shape} and labels {(n_labels,)}; want (n, 4) and (n,).")
    valid = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not valid.all():
        raise DataError(
            f"{name}: the box {show_box(boxes[~valid][0])} is empty, has swapped edges or is not finite; "
            f"want left < right and top < bottom, in pixels. Correct or remove it."
        )
    small = are_fractions(boxes) | ((boxes[:, 2:] - boxes[:, :2]).max(axis=1) < 1)
    if small.any():
        raise DataError(
            f"{name}: the box {show_box(boxes[small][0])} is smaller than a pixel, or a fraction of the photo; "
            f"want left, top, right and bottom in pixels. Multiply fractions by the photo's width and height."
        )
    return boxes


def share_inside(boxes: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the share of the area of each box (n, 4) that lies in an image of that width and height."""
    boxes = boxes.astype(np.float64)
    inside = boxes.clip(0, np.tile(size, 2))
    return np.asarray((inside[:, 2:] - inside[:, :2]).prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def check_inside(boxes: NDArray[Any], size: tuple[int, int], name: str) -> None:
    """Raise DataError, with `name`, if more than half of a box lies outside a photo of that width and height."""
    outside = share_inside(boxes, size) < _MIN_INSIDE
    if outside.any():
        raise DataError(
            f"{name}: the box {show_box(boxes[outside][0])} lies outside the {size[0]} x {size[1]} pixels of the photo"
            f", or more than half of it does; want pixels of that photo. Correct or remove the box."
        )


def show_box(box: NDArray[Any]) -> str:
    """Return a box as text for messages, without the digits that float32 adds."""
    return str(tuple(round(edge, 4) for edge in box.tolist()))
