"""Clients that are slow, or still sending: neither may hold up the others, and each gets its answer."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ReadToTheEnd:
    """Reads what is left of a request before it is refused, so that the answer arrives.

    A connection that is closed on a client which still sends is reset, and the client never sees why.

    Parameters
    ----------
    app : ASGI application
    max_bytes : int
        Beyond which the connection is closed all the same.
    seconds : float
        Likewise.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, waits=Headers(scope=scope).get("expect", "").lower() == "100-continue")

        async def send_after_reading(message: Message) -> None:
            if not body.ended:
                await body.discard(self.max_bytes, self.seconds)
            await send(message)

        await self.app(scope, body.receive, send_after_reading)


class _Body:
    """What a client sends, and whether it is through with it."""

    def __init__(self, receive: Receive, *, waits: bool) -> None:
        self._receive = receive
        # A client that waits to be asked for its body sends none if it is not.
        self.ended = waits

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def discard(self, max_bytes: int, seconds: float) -> None:
        n_bytes = 0
        try:
            async with asyncio.timeout(seconds):
                while not self.ended and n_bytes <= max_bytes:
                    n_bytes += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass  # it has had its time: it is answered now, and may not see it
        self.ended = True
