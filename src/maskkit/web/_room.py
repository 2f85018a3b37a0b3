"""Memory for what arrives, shared by all requests."""

from collections.abc import Iterator
from contextlib import contextmanager

from maskkit.web._refusal import busy


class Room:
    """So many bytes that requests may hold together; used from one event loop.

    Parameters
    ----------
    size : int
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Give a request its share, and take it back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.taken -= share.taken


class Share:
    """What one request holds of a `Room`."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.taken = 0

    def take(self, size: int) -> None:
        """Take more; raises `RefusedError` (503) where there is no more."""
        if self.room.taken + size > self.room.size:
            raise busy(1)
        self.room.taken += size
        self.taken += size
