"""Interface of a face detector, and preparation of its images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._checks.numbers import check_int
from maskkit._images.boxes import are_fractions, show_box
from maskkit._images.load import RgbImage
from maskkit.exceptions import PluginError


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces detected in one image.

    Parameters
    ----------
    boxes_xyxy : ndarray of shape (n_faces, 4), float32
        Left, top, right, bottom in pixels of the image; right and bottom exclusive. Boxes may
        reach over the edge of the image.
    scores : ndarray of shape (n_faces,), float32
        Detection scores on the detector's own scale; higher is more confident.
    landmarks : ndarray of shape (n_faces, n_points, 2), float32, optional
        x and y of each point in pixels. The order of five points is left eye, right eye, nose, left
        mouth corner, right mouth corner, left and right as seen in the image.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def select(self, rows: NDArray[Any]) -> "Faces":
        """Return some of the faces, by indices or a mask, in the order given."""
        landmarks = None if self.landmarks is None else self.landmarks[rows]
        return Faces(self.boxes_xyxy[rows], self.scores[rows], landmarks)


class Detector(Protocol):
    """A face detector; any object with this method is one, no base class is needed.

    A detector may have a second method, ``detect_batch(images) -> list[Faces]``, for several images of any sizes. It is
    called where several images are at hand. A third, ``detect_near(image, boxes_xyxy) -> Faces``, detects the faces
    near given boxes in less time; with it, not every frame of a live video is searched in full.
    """

    def detect(self, image: RgbImage) -> Faces:
        """Detect the faces in an image.

        Parameters
        ----------
        image : ndarray of shape (H, W, 3), uint8
            RGB, upright, read-only.

        Returns
        -------
        faces : Faces
            Empty arrays if there is none.
        """
        ...


def check_faces(faces: Any, detector: str, image: RgbImage) -> Faces:
    """Check the faces that a detector returned, which may be any object with these attributes; convert to float32.

    Raises PluginError if attributes are missing, shapes disagree, values are not finite, or a box is empty, outside the
    image or a fraction of it.
    """
    try:
        boxes = np.asarray(faces.boxes_xyxy, dtype=np.float32)
        scores = np.asarray(faces.scores, dtype=np.float32)
        landmarks = getattr(faces, "landmarks", None)
        landmarks = None if landmarks is None else np.asarray(landmarks, dtype=np.float32)
    except (AttributeError, TypeError, ValueError) as exc:
        raise PluginError(
            f"detector {detector}: detect() returned {type(faces).__name__} ({exc}); want Faces(boxes_xyxy, scores)."
        ) from exc
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != (len(boxes),):
        raise PluginError(
            f"detector {detector}: boxes_xyxy has shape {boxes.shape} and scores {scores.shape}; want (n, 4) and (n,)."
        )
    if landmarks is not None and (landmarks.ndim != 3 or landmarks.shape[::2] != (len(boxes), 2)):
        raise PluginError(f"detector {detector}: landmarks has shape {landmarks.shape}; want (n, n_points, 2).")
    points = np.zeros(0) if landmarks is None else landmarks
    if not all(np.isfinite(values).all() for values in (boxes, scores, points)):
        raise PluginError(
            f"detector {detector}: boxes_xyxy, scores or landmarks hold NaN or infinity; want finite numbers."
        )
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        raise PluginError(
            f"detector {detector}: a box has right <= left or bottom <= top; want left, top, right, bottom."
        )
    height, width = image.shape[:2]
    if len(boxes) and max(height, width) > 2 and are_fractions(boxes).all():
        raise PluginError(
            f"detector {detector}: the box {show_box(boxes[0])} seems to be a fraction of the image of "
            f"{width} x {height} px; want pixels: multiply by its width and height."
        )
    outside = (boxes[:, :2] >= (width, height)).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    if outside.any():
        raise PluginError(
            f"detector {detector}: the box {boxes[outside][0].round(1).tolist()} lies outside the image of "
            f"{width} x {height} px; want pixels of that image."
        )
    return Faces(boxes, scores, landmarks)


def detect_batch(detector: Any, images: Sequence[RgbImage], *, near: Sequence[Any] | None = None) -> list[Any]:
    """Detect the faces in several images, or only those near given boxes: together if the detector can.

    The detector gets them read-only, because they may be the user's own arrays, and faces are cropped from them later.
    """
    images = list(map(read_only, images))
    if near is not None:
        return [detector.detect_near(image, near) for image in images]
    together = getattr(detector, "detect_batch", None)
    return [detector.detect(image) for image in images] if together is None else list(together(images))


def read_only(image: RgbImage) -> RgbImage:
    view = image.view()
    view.flags.writeable = False
    return view


def check_image(image: RgbImage) -> None:
    """Raise ValueError if an image is not a uint8 array of shape (H, W, 3) with at least one pixel."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"image is of type {type(image).__name__}; want an array; read files with Pillow.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f"image has shape {image.shape} and dtype {image.dtype}; "
            f"want RGB of shape (H, W, 3), range 0 to 255, dtype uint8."
        )


def resize_long_side(image: RgbImage, long_side_px: int) -> tuple[RgbImage, NDArray[np.float32]]:
    """Enlarge or shrink an image to a given longer side, keeping the aspect ratio.

    Also returns the new pixels per old pixel along x and y, (2,) float32; divide detected points by it.
    """
    long_side_px = check_int(long_side_px, "long_side_px", 32)
    height_px, width_px = image.shape[:2]
    scale = long_side_px / max(height_px, width_px)
    new_width_px, new_height_px = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    # Bicubic interpolation found 1 % more faces than bilinear on real photos, most of them enlarged.
    resized = Image.fromarray(image).resize((new_width_px, new_height_px), Image.Resampling.BICUBIC)
    scale_xy = np.array([new_width_px / width_px, new_height_px / height_px], np.float32)
    return np.asarray(resized), scale_xy


def fit_to_image(faces: Faces, image: RgbImage) -> Faces:
    """Round boxes to whole pixels inside the image, drop those outside, and sort by area, largest first."""
    height, width = image.shape[:2]
    boxes = np.rint(faces.boxes_xyxy).clip(0, np.array([width, height, width, height], dtype=np.float32))
    sizes = boxes[:, 2:] - boxes[:, :2]
    inside = np.flatnonzero((sizes > 0).all(axis=1))
    order = inside[np.argsort(-sizes[inside].prod(axis=1), kind="stable")]
    return Faces(boxes, faces.scores, faces.landmarks).select(order)
