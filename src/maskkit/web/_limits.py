"""Limits of a single request and of all requests together."""

from dataclasses import dataclass, fields

from maskkit._checks.numbers import check_float, check_int, to_python


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on what the server accepts.

    Parameters
    ----------
    image_bytes : int, default=20_000_000
        Maximum size of an image file, in bytes.
    images : int, default=16
        Maximum number of images per request.
    request_bytes : int, default=64_000_000
        Maximum size of a request body, in bytes.
    image_px : int, default=50_000_000
        Maximum width times height of an image. Decoding takes three bytes per pixel. As many pixels are decoded at
        once, of one or several images.
    request_px : int, default=200_000_000
        Maximum pixels of all images of a request together.
    waiting_images : int, default=64
        Maximum number of images of all requests that wait for prediction. Further requests get a 503.
    waiting_seconds : float, default=10
        Longest expected waiting time with which a request is accepted, in seconds, estimated from recent
        images. Others get a 503.
    waiting_bytes : int, default=512_000_000
        Maximum size of all request bodies in memory, in bytes. Further requests get a 503.
    seconds : float, default=30
        Time limit to receive a request, and again to answer it, in seconds.

    Raises
    ------
    ValueError
        If a limit is not above zero, `waiting_images` is less than `images`, or `request_px` is less than `image_px`.
    """

    image_bytes: int = 20_000_000
    images: int = 16
    request_bytes: int = 64_000_000
    image_px: int = 50_000_000
    request_px: int = 200_000_000
    waiting_images: int = 64
    waiting_seconds: float = 10.0
    waiting_bytes: int = 512_000_000
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            given = getattr(self, limit.name)
            if not to_python(given) > 0:
                raise ValueError(f"{limit.name}={given!r}; want a number above 0.")
            check = check_float if "seconds" in limit.name else check_int
            # The limits are shown as JSON, which has only Python's numbers.
            object.__setattr__(self, limit.name, check(given, limit.name))
        if self.waiting_images < self.images:
            raise ValueError(
                f"waiting_images={self.waiting_images} is less than images={self.images}, so that a full request would "
                f"never be accepted; raise the first or lower the second."
            )
        if self.request_px < self.image_px:
            raise ValueError(
                f"request_px={self.request_px} is less than image_px={self.image_px}, so that the largest image would "
                f"never be accepted; raise the first or lower the second."
            )
