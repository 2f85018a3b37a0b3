"""Pictures of faces for the page: thumbnails, and faces with what is around them."""

import io
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskkit._images.crop import crop_square
from maskkit._images.load import RgbImage, load_image
from maskkit.review._labels import FaceKey

_THUMBNAIL_PX, _PICTURE_PX = 192, 720
# Side of the larger picture as a multiple of the box's longer side.
_AROUND = 3.0
# Thumbnails of 10,000 faces take about as much.
_CACHE_BYTES = 100_000_000


class Pictures:
    """JPEG files of faces, each made when it is first asked for, and kept in memory only."""

    def __init__(self) -> None:
        self._cache: LRUCache[Any, bytes] = LRUCache(_CACHE_BYTES, getsizeof=len)
        self._lock = Lock()

    def thumbnail(self, key: FaceKey) -> bytes:
        """Return the face as the model sees it; raise ImageError if the image cannot be read."""
        return self._make(key, is_large=False)

    def picture(self, key: FaceKey) -> bytes:
        """Return the face and what is around it, with its box; raise ImageError if the image cannot be read."""
        return self._make(key, is_large=True)

    def _make(self, key: FaceKey, *, is_large: bool) -> bytes:
        with self._lock:
            known = self._cache.get((key, is_large))
        if known is not None:
            return known
        made = _draw(key, is_large=is_large)
        with self._lock:
            self._cache[key, is_large] = made
        return made


def _draw(key: FaceKey, *, is_large: bool) -> bytes:
    size = _PICTURE_PX if is_large else _THUMBNAIL_PX
    if key.box is None:
        picture = _fit(load_image(key.path, min_px=size), size)
    elif is_large:
        picture = _draw_around(load_image(key.path), np.array(key.box))
    else:
        picture = _fit(crop_square(load_image(key.path), key.box), size)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def _fit(image: RgbImage, size: int) -> Image.Image:
    """Return a picture whose longer side has the given size."""
    height, width = image.shape[:2]
    scale = size / max(width, height)
    sides = [max(1, round(side * scale)) for side in (width, height)]
    return Image.fromarray(image).resize(sides, Image.Resampling.LANCZOS)


def _draw_around(image: RgbImage, box: NDArray[np.float64]) -> Image.Image:
    """Return the part of a photo around a box, with the box."""
    center, half = (box[:2] + box[2:]) / 2, _AROUND * (box[2:] - box[:2]).max() / 2
    limits = image.shape[1::-1]
    left, top = np.clip(center - half, 0, limits).astype(int)
    right, bottom = np.clip(center + half, 1, limits).astype(int)
    around = image[top:bottom, left:right]
    picture = _fit(around, _PICTURE_PX)
    edges = (box - [left, top, left, top]) * _PICTURE_PX / max(around.shape[:2])
    ImageDraw.Draw(picture).rectangle(edges.tolist(), outline="#0072B2", width=3)
    return picture
