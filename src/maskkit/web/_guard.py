"""Who may ask: what keeps other people's pages, and people without the token, away from the server.

A server on one's own machine can be reached by every page that one's browser shows. Such a page may

- point its own name at 127.0.0.1 (DNS rebinding) and read answers as if they were its own: hence only names that
  were allowed are answered, and addresses, which cannot be rebound;
- send forms and pictures without reading the answer (request forgery): hence a browser's word for "from another
  page" (``Origin``, ``Sec-Fetch-Site``) is believed;
- frame the page or load its files: hence the headers on every response.
"""

import ipaddress
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskkit.web._refusal import RefusedError

# No script, style, picture or connection but from here; pictures that the page makes itself are blobs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
SAFE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

# The page asks for the token itself; a health check has none; neither tells anything of photos.
_OPEN = ("/", "/health", "/openapi.json")


class SafeHeaders:
    """Adds the headers that keep browsers strict to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SAFE_HEADERS)
            await send(message)

        await self.app(scope, receive, send_safely)


class Guard:
    """Refuses strange names, other pages, and requests without the token.

    Parameters
    ----------
    app : ASGI application
    token : str, optional
    hosts : collection of str
        Names under which the server may be asked, beside ``localhost`` and addresses.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str]) -> None:
        self.app = app
        self.token = None if token is None else token.encode()
        self.hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except RefusedError as refusal:
                await refusal.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(_name_of(f"//{host}")):
            raise RefusedError(
                403, "strange_host", f"The host {host!r} is not this server; start it with --allow-host if it is."
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_our_page(origin, host):
            raise RefusedError(403, "strange_origin", f"Requests of pages from {origin!r} are not answered.")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            raise RefusedError(403, "strange_origin", "Requests of other pages are not answered.")
        if self.token is not None and not self._is_open(scope["path"]):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode("latin-1"), self.token):
                raise RefusedError(
                    401, "token", "Wants the header 'Authorization: Bearer TOKEN' with the server's token.",
                    {"WWW-Authenticate": "Bearer"},
                )  # fmt: skip

    def _is_our_page(self, origin: str, host: str) -> bool:
        """Tell whether it is the same server by name and port, or one of the names allowed: a proxy may rename us."""
        return origin.lower().partition("://")[2] == host.lower() or _name_of(origin) in self.hosts - {"localhost"}

    def _is_ours(self, name: str) -> bool:
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    @staticmethod
    def _is_open(path: str) -> bool:
        return path in _OPEN or path.startswith("/static/")


def _name_of(url: str) -> str:
    """Give the host of a URL, in lower case and without its port; nothing if there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
