"""How much one request, and all of them together, may ask for."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes.

    Parameters
    ----------
    image_bytes : int, default=20_000_000
        Of one image file.
    images : int, default=16
        Of one request.
    request_bytes : int, default=64_000_000
        Of one request, all that it holds.
    image_px : int, default=50_000_000
        Width times height of one image; it is decoded to three bytes a pixel.
    waiting_images : int, default=64
        Of all requests together that wait for the detector; above it requests are sent away with a 503.
    waiting_seconds : float, default=10
        That requests may have to wait, as far as the last photos tell; likewise.
    waiting_bytes : int, default=512_000_000
        Of all requests together, as they arrive and wait; likewise.
    seconds : float, default=30
        For a request to arrive, and again for its answer.

    Raises
    ------
    ValueError
        If one of them is not above zero.
    """

    image_bytes: int = 20_000_000
    images: int = 16
    request_bytes: int = 64_000_000
    image_px: int = 50_000_000
    waiting_images: int = 64
    waiting_seconds: float = 10.0
    waiting_bytes: int = 512_000_000
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise ValueError(f"{limit.name}={getattr(self, limit.name)!r}; want a number above 0.")
        if self.waiting_images < self.images:
            raise ValueError(
                f"waiting_images={self.waiting_images} is less than images={self.images}, so that a full request could "
                f"never be taken; raise the first or lower the second."
            )
