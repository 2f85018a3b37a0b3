"""Deadlines for the waits of a connection, which Uvicorn has only for idle connections."""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class DeadlineProtocol(H11Protocol):
    """Uvicorn's protocol, which closes connections whose client is slow.

    A connection alternates between two states, each with one deadline that no byte of the client moves:

    - Without an open request, it waits at most `wait_seconds`, from its start or from the end of the last answer, until
      the header of a request is complete. In this time the client also reads the answer, and sends what is left of a
      body that was answered early.
    - With an open request, it waits at most `request_seconds` until the answer has been written.

    Uvicorn itself closes a connection on which nothing is sent for 5 seconds after an answer. One byte ends this wait.
    """

    wait_seconds: float
    request_seconds: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        # asyncio does this only for sockets that were made with the number of the protocol. Without it, the second part
        # of an answer waits for the client to confirm the first, up to 40 ms.
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._set_deadline(self.wait_seconds)

    def handle_events(self) -> None:
        """Handle received bytes, which may complete the header of a request."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._set_deadline(self.request_seconds)

    def on_response_complete(self) -> None:
        """Start to wait for the next request, which may have been received already."""
        self._set_deadline(self.wait_seconds)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        # A connection that is closed instead stays open until the client has read what was written.
        self._deadline = self.loop.call_later(seconds, self.transport.abort)


def deadline_protocol(*, wait_seconds: float, request_seconds: float) -> type[DeadlineProtocol]:
    """Return a protocol class with deadlines, for `uvicorn.Config`."""
    settings: dict[str, Any] = {"wait_seconds": wait_seconds, "request_seconds": request_seconds}
    return type("Protocol", (DeadlineProtocol,), settings)
