"""Uvicorn on a socket that is bound before the model is loaded."""

import ipaddress
import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from maskkit.web._deadlines import deadline_protocol


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free one. Raises OSError with a hint."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as exc:
        raise OSError(f"--host {host} is not an address of this machine ({exc.strerror}).") from exc
    family, _, _, _, address = addresses[0]
    try:
        # Like other servers, "::" accepts IPv4 connections too.
        dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=256, dualstack_ipv6=dual)
    except OSError as exc:
        # create_server appends the address to the system's message, but this message names it already.
        reason = os.strerror(exc.errno or 0).lower()
        raise OSError(f"cannot listen on {host}:{port} ({reason}); choose another --port, or 0 for any.") from exc


def is_loopback(listening: socket.socket) -> bool:
    """Return whether only this machine reaches the socket."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def url_of(listening: socket.socket) -> str:
    """Return the URL of the page, as a browser on this machine opens it."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:  # browsers cannot open 0.0.0.0
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(
    app: ASGIApp,
    *,
    seconds: float,
    wait_seconds: float = 30.0,
    max_connections: int = 1000,
    on_start: Callable[[], None] = lambda: None,
) -> uvicorn.Server:
    """Build a Uvicorn server, to be run with a socket; it answers requests that have begun before it stops.

    Parameters
    ----------
    app : ASGI application
    seconds : float
        Longest time of a request, in seconds; stopping waits that long.
    wait_seconds : float, default=30
        Longest time that a connection may take to send the header of a request, from its start or the end of the last
        answer, and longest time to read an answer, in seconds. Slower connections are closed.
    max_connections : int, default=1000
        Number of open connections at which the server begins to answer requests with a 503.
    on_start : callable, optional
        Function to call when the server has started.

    Returns
    -------
    server : uvicorn.Server
    """

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_start()

    config = uvicorn.Config(
        app,
        http=deadline_protocol(wait_seconds=wait_seconds, request_seconds=seconds + wait_seconds),
        timeout_keep_alive=max(1, min(5, round(wait_seconds))),
        ws="none",
        lifespan="on",
        # Uvicorn's own configuration would close all handlers of the program, such as those that write to its files.
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # The deadlines end slow connections; this limit bounds the memory of those that are open at once.
        limit_concurrency=max_connections,
        timeout_graceful_shutdown=round(seconds) + 5,
    )
    return Server(config)
