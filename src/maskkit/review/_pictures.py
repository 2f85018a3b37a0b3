"""Pictures of faces for the page: thumbnails, and faces with what is around them."""

import io
from threading import Lock
from typing import Any

from cachetools import LRUCache
from PIL import Image, ImageDraw

from maskkit._images.crop import crop_square
from maskkit._images.load import load_image
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
        picture = Image.fromarray(load_image(key.path, min_px=size))
    else:
        image = load_image(key.path)
        picture = Image.fromarray(crop_square(image, key.box, **({"margin": _AROUND} if is_large else {})))
    scale = size / max(picture.size)
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    if is_large and key.box is not None:
        width, height = (scale * side / 2 for side in (key.box[2] - key.box[0], key.box[3] - key.box[1]))
        center = size / 2
        edges = (center - width, center - height, center + width, center + height)
        ImageDraw.Draw(picture).rectangle(edges, outline="#0072B2", width=3)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
