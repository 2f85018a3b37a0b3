"""Frames of annotations: whether boxes were drawn on the stored pixels of a photo, or on the upright photo.

Cameras store many photos turned, with an EXIF orientation that says how to display them. Some annotation programs
ignore it, so that their boxes are those of the stored pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskkit._images.boxes import check_boxes, check_inside, share_inside, show_box
from maskkit._images.orientation import ImageHeader, Size
from maskkit.exceptions import DataError

Frame: TypeAlias = Literal["auto", "stored", "upright"]

# Programs round sizes.
_TOLERANCE_PX = 1
# Share of each box that lies in the frame in which it was drawn; some annotators draw a little beyond the edge.
_INSIDE = 0.95


def check_frame(frame: str) -> None:
    """Raise ValueError if `frame` is unknown."""
    if frame not in ("auto", "stored", "upright"):
        raise ValueError(f"frame={frame!r} is unknown; use 'auto', 'stored' or 'upright'.")


@dataclass(frozen=True, slots=True)
class Annotation:
    """The faces of a photo, as some file holds them.

    `name` is that of the annotation in messages, `image` the path of the photo, `size` the width and height that the
    annotation states, if any, under `size_name`, and `boxes` are left, top, right and bottom of each face.
    """

    name: str
    image: Path
    size: Size | None
    boxes: Sequence[Sequence[float]]
    labels: Sequence[str]
    size_name: str = "its size"


class PlacedAnnotation:
    """An annotation whose boxes are to be placed on its upright photo.

    `header` is that of its image, None if it cannot be read: the photo itself raises where it is used.

    Raises DataError if a box is invalid or lies outside the photo, or ``<size>`` is that of another photo.
    """

    def __init__(self, annotation: Annotation, header: ImageHeader | None, frame: Frame):
        self.annotation = annotation
        self.header = header or ImageHeader((0, 0))
        self.boxes = check_boxes(annotation.boxes, len(annotation.labels), annotation.name)
        self.frames = ["upright"] if header is None else self._list_frames(frame)

    def _list_frames(self, frame: Frame) -> list[str]:
        """Return the frames in which the boxes may be, judged by ``<size>`` and by where they lie."""
        sizes = {"upright": self.header.upright_size}
        if self.header.orientation != 1:
            sizes["stored"] = self.header.stored_size
            sizes = {name: size for name, size in sizes.items() if frame in ("auto", name)}
        stated = self.annotation.size
        if stated is not None:
            differences = {name: np.abs(np.subtract(size, stated)).max() for name, size in sizes.items()}
            sizes = {name: size for name, size in sizes.items() if differences[name] <= _TOLERANCE_PX}
        if not sizes:
            raise DataError(
                f"{self._describe_box()} is drawn on another size: {self._describe_sizes()}. "
                f"Correct {self.annotation.size_name} and the boxes, or restore the photo."
            )
        shares = {name: share_inside(self.boxes, size).min(initial=1) for name, size in sizes.items()}
        best = max(shares, key=lambda name: shares[name])
        check_inside(self.boxes, sizes[best], f"{self.annotation.name} ({self._describe_sizes()})")
        return [name for name, share in shares.items() if share >= min(_INSIDE, shares[best])]

    @property
    def known_frame(self) -> str | None:
        """The frame of the boxes of a turned photo, if its ``<size>`` or its boxes show it."""
        is_shown = self.header.orientation != 1 and len(self.boxes) > 0 and len(self.frames) == 1
        return self.frames[0] if is_shown else None

    def place(self, usual_frame: str | None) -> NDArray[np.float32]:
        """Return the boxes (n, 4) on the upright photo; `usual_frame` is that of photos that do not show theirs.

        Raises DataError if the frame is unknown.
        """
        frame = self.frames[0] if len(self.frames) == 1 or not len(self.boxes) else usual_frame
        if frame is None:
            raise DataError(
                f"{self._describe_box()} is drawn on the stored pixels or on the photo as it is displayed, and nothing "
                f"shows on which: {self._describe_sizes()}. Pass frame='stored' or frame='upright', or "
                f"save the photo upright, without the EXIF orientation."
            )
        return self.header.turn_boxes(self.boxes) if frame == "stored" else self.boxes

    def _describe_box(self) -> str:
        box = f"the box {show_box(self.boxes[0])}" if len(self.boxes) else "it"
        return f"{self.annotation.name}: {box}"

    def _describe_sizes(self) -> str:
        """Return the size that the annotation states and those of the image."""
        header, stated = self.header, self.annotation.size
        turned = ""
        if header.orientation != 1:
            turned = f" as stored, {_show(header.upright_size)} as displayed (EXIF orientation {header.orientation})"
        stated_size = "missing" if stated is None else _show(stated)
        stated_size = f"{self.annotation.size_name} is {stated_size}"
        return f"{stated_size}, and {self.annotation.image} has {_show(header.stored_size)} pixels{turned}"


def _show(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def find_usual_frame(placed: Iterable[PlacedAnnotation]) -> str | None:
    """Return the frame of the turned photos that show theirs, if it is the same; they probably share a program."""
    frames = {each.known_frame for each in placed} - {None}
    return frames.pop() if len(frames) == 1 else None
