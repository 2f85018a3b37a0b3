"""URLs of images, and their names without passwords."""

import re

from maskkit._batch.inputs import InputImage
from maskkit._batch.storage import is_url
from maskkit._text import hide_secrets

_ORIGIN = re.compile(r"[^/]*://[^/]*")


class Locations:
    """Maps names of images without passwords to their URLs.

    It is kept in memory and sent to the workers, but never written. One login per host is kept for all its files.
    """

    def __init__(self) -> None:
        self._origins: dict[str, str] = {}
        self._urls: dict[str, str] = {}

    def hide(self, image: InputImage) -> InputImage:
        """Return an image whose source has no password, and remember where it is."""
        url = image.source
        if not is_url(url):
            return image
        shown = hide_secrets(url)
        origin = _ORIGIN.match(shown)
        rest = shown[origin.end() :] if origin else ""
        number = 1
        if origin and rest and url.endswith(rest):
            real_origin = url[: -len(rest)]
            if self._origins.setdefault(origin[0], real_origin) == real_origin:
                return image._replace(source=shown)
            number = 2
        # Images whose URLs differ in hidden parts alone are still different images.
        while self._urls.setdefault(name := shown if number == 1 else f"{shown} ({number})", url) != url:
            number += 1
        return image._replace(source=name)

    def restore(self, image: InputImage) -> InputImage:
        """Return an image with its real source, as `hide` got it."""
        if image.source in self._urls:
            return image._replace(source=self._urls[image.source])
        origin = _ORIGIN.match(image.source)
        if origin is None or origin[0] not in self._origins:
            return image
        return image._replace(source=self._origins[origin[0]] + image.source[origin.end() :])
