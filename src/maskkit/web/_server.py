"""Uvicorn, with a socket of our own and patience that ends."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol


def bind(host: str, port: int) -> socket.socket:
    """Take an address; port 0 is any that is free. Raises OSError with what to do about it."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except socket.gaierror as exc:
        raise OSError(f"--host {host}: is no address of this machine ({exc.strerror}).") from exc
    taken = socket.socket(family, kind)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(address)
        taken.listen(256)
    except OSError as exc:
        taken.close()
        reason = (exc.strerror or str(exc)).lower()
        raise OSError(f"{host}:{port} cannot be listened on ({reason}); choose another --port, or 0 for any.") from exc
    return taken


def is_loopback(listening: socket.socket) -> bool:
    """Tell whether only this machine reaches it."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def url_of(listening: socket.socket) -> str:
    """Give the address under which this machine finds the page."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:  # all addresses is none that a browser can ask
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(
    app: ASGIApp,
    *,
    seconds: float,
    header_seconds: float = 15.0,
    on_start: Callable[[], None] = lambda: None,
) -> uvicorn.Server:
    """Make the server, which is run with the socket; it answers what it has begun before it ends.

    Parameters
    ----------
    app : ASGI application
    seconds : float
        What a request may take, in all; so long the end waits.
    header_seconds : float, default=15
        What a client may take for the header of its first request.
    on_start : callable, optional
        Called when requests are answered.
    """

    class Protocol(_HurriedProtocol):
        header_timeout_s = header_seconds

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_start()

    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(seconds) + 5,
    )
    return Server(config)


class _HurriedProtocol(H11Protocol):
    """Hangs up on clients that connect and then send no request, or one letter at a time."""

    header_timeout_s: float
    _hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._hurry = self.loop.call_later(self.header_timeout_s, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._hurry is not None:
            self._hurry.cancel()
        super().connection_lost(exc)

    def _hang_up(self) -> None:
        if self.cycle is None:  # no request has come
            self.transport.close()
