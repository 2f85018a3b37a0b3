"""Access control: allowed hosts, allowed origins, the token, and security headers.

Every page that is open in a browser can send requests to a server on the same machine. Such a page may

- point its own host name at 127.0.0.1 (DNS rebinding) and read the answers as its own. Therefore only requests to
  allowed host names, and to IP addresses, which cannot be rebound, are answered;
- send forms and images without reading the answer (cross-site request forgery). Therefore requests whose
  headers ``Origin`` or ``Sec-Fetch-Site`` show that another page sent them are refused;
- show the page in a frame or load its files. Therefore every response has headers that forbid it.
"""

import ipaddress
import re
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskkit.web._errors import ApiError

# The page loads nothing from other hosts. Images that it makes itself are blobs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

# Paths that need no token. The page has a field for the token, and none of the answers contains photos or results.
_PUBLIC_PATHS = ("/", "/health", "/openapi.json")


class SecurityHeaders:
    """ASGI middleware that adds the security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Guard:
    """ASGI middleware that refuses other hosts, other pages, and requests without the token.

    Allowed are ``localhost``, IP addresses, and the names in `hosts`, as `parse_host` returns them.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str]) -> None:
        self.app = app
        self.token = None if token is None else token.encode()
        self.hosts = {"localhost", *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                self._check_host(headers)
                self._check_origin(headers)
                is_public = scope["path"] in _PUBLIC_PATHS or scope["path"].startswith("/static/")
                if self.token is not None and not is_public:
                    self._check_token(headers, self.token)
            except ApiError as error:
                await error.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        # HTTP/1.0 needs no host, and health checks send none. Every browser sends one.
        if not given:
            return
        host = ", ".join(given)
        name = _host_name(f"//{host}")
        if name not in self.hosts and not _is_ip_address(name):
            message = f"The host {host!r} is not allowed; if it is this server's, start it with --allow-host."
            raise ApiError(403, "host_not_allowed", message)

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None:
            # A proxy may call this server by another name than its own, so allowed names are accepted, too.
            same_origin = origin.lower().partition("://")[2] == headers.get("host", "").lower()
            if not same_origin and _host_name(origin) not in self.hosts - {"localhost"}:
                raise ApiError(403, "origin_not_allowed", f"Requests from pages of {origin!r} are not allowed.")
        is_other_site = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_other_site and headers.get("sec-fetch-mode") != "navigate":
            raise ApiError(403, "origin_not_allowed", "Requests from other pages are not allowed.")

    def _check_token(self, headers: Headers, token: bytes) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # The comparison takes the same time wherever the first difference is.
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode("latin-1"), token):
            message = "The token is missing or wrong; send the header 'Authorization: Bearer TOKEN'."
            raise ApiError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host_name(url: str) -> str:
    """Return the host of a URL in lower case, without its port and trailing dot; "" if it has none."""
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def check_token(token: str) -> None:
    """Raise ValueError if a token is empty, or has characters that not every client can send in a header."""
    if not token.strip():
        raise ValueError("the token is empty; pass a secret, or None for a server without a token.")
    if token != token.strip() or not all(" " <= letter <= "~" for letter in token):
        raise ValueError(
            "the token has a space at an end, a line end or a character outside ASCII, which not every client can "
            "send; use letters and digits, such as those of: openssl rand -hex 32"
        )


def parse_host(given: str) -> str:
    """Return the name in an allowed host, which may be written as a URL or with a port.

    Raises ValueError if it is not the name of one host.
    """
    text = given.strip()
    if text.count(":") > 1 and "/" not in text and not text.startswith("["):  # an IPv6 address without brackets
        text = f"[{text}]"
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        name = (parts.hostname or "").removesuffix(".").encode("idna").decode()
        is_name = _is_ip_address(name) or re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name) is not None
        # urlsplit drops tabs and line ends.
        is_alone = (
            text.isprintable()
            and parts.path in ("", "/")
            and not (parts.query or parts.fragment or parts.username is not None)
        )
        parts.port  # noqa: B018  # raises if it is no number
    except ValueError:  # an address in brackets that is none, a port that is none, or letters that no name can have
        is_name = is_alone = False
    if not (is_name and is_alone):
        raise ValueError(f"the allowed host {given!r} is not a host name; pass a name such as masks.example.org.")
    return name
