"""Loading of photos, and what is known of them between detection and classification."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskkit._images.crop import Box
from maskkit._images.load import ImageSource, RgbImage, read_image
from maskkit.detectors._base import Faces
from maskkit.exceptions import ImageError, PluginError

NO_IMAGE = np.zeros((0, 0, 3), dtype=np.uint8)
NO_FACES = Faces(np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.float32))


def always() -> bool:
    """Return True; photos are wanted unless somebody cancels them."""
    return True


def to_box(edges: NDArray[np.float32]) -> Box:
    """Return the edges of a detected box in whole pixels."""
    left, top, right, bottom = (int(edge) for edge in edges)
    return left, top, right, bottom


class FoundFaces(NamedTuple):
    """A photo on its way from reading to detection and classification."""

    source: ImageSource
    name: str
    image: RgbImage
    error: ImageError | PluginError | None
    read_ms: float
    is_wanted: Callable[[], bool] = always
    notes: tuple[str, ...] = ()
    faces: Faces = NO_FACES
    detect_ms: float = 0.0
    left_out: tuple[Box, ...] = ()
    near: Sequence[Box] | None = None

    @property
    def boxes(self) -> list[Box]:
        return list(map(to_box, self.faces.boxes_xyxy))

    def check_wanted(self) -> "FoundFaces":
        """Return the photo, with an error if it is no longer wanted."""
        if self.is_wanted():
            return self
        return self._replace(error=ImageError(f"{self.name}: is no longer wanted, and was left out."))


def check_detector_works(windows: Iterable[list[FoundFaces]], n_photos: int) -> Iterator[list[FoundFaces]]:
    """Iterate over windows of photos; raise PluginError if the detector fails on every photo that can be read.

    A failure may be the photo's fault if other photos pass, and otherwise is the detector's. So windows are held back
    until it succeeds once, or has failed on `n_photos`, as many as a window holds. The error of a single photo
    stays with it.
    """
    held: list[list[FoundFaces]] = []
    failures: list[PluginError] = []
    works = False
    windows = iter(windows)
    for window in windows:
        held.append(window)
        works = any(photo.error is None for photo in window)
        failures += [photo.error for photo in window if isinstance(photo.error, PluginError)]
        if works or len(failures) >= n_photos:
            break
        if not failures:  # Photos that cannot be read say nothing about the detector.
            yield from held
            held.clear()
    if not works and len(failures) > 1:
        raise PluginError(f"{failures[0]} It failed on all of the first {len(failures)} photos.")
    yield from held
    yield from windows


def load_photo(name: str, source: ImageSource, *, is_wanted: Callable[[], bool] = always, **limits: Any) -> FoundFaces:
    """Load a photo; `limits` are those of `load_image`."""
    start = time.perf_counter()
    image, error = NO_IMAGE, None
    notes: tuple[str, ...] = ()
    try:
        if is_wanted():
            image, notes = read_image(source, name=name, **limits)
    except ImageError as exc:
        error = exc
    return FoundFaces(source, name, image, error, (time.perf_counter() - start) * 1000, is_wanted, notes)
