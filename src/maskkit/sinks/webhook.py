"""Sink that posts events to a web server."""

import base64
import os
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from maskkit import __version__
from maskkit._text import to_json
from maskkit.exceptions import PluginError
from maskkit.sinks._base import WatchEvent

AUTHORIZATION_VARIABLE = "MASKKIT_WEBHOOK_AUTHORIZATION"

_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


class WebhookSink:
    """Posts each event to a URL, as JSON in a request of its own; a snapshot is its field ``snapshot_jpeg`` in base64.

    An event is sent again, with pauses that grow up to a minute, if the server cannot be reached, does not answer in
    time or answers with the status 429 or 500 and above. Any other status but 200 to 299 means that it refuses the
    event; so does a redirection, which is not followed.

    Parameters
    ----------
    url : str
        Address of the receiver, ``http://`` or ``https://``. Messages show only its host, because the path of such an
        address is often a secret, and so may be a user and password in it.
    authorization : str, optional
        Value of the header ``Authorization``, such as ``"Bearer TOKEN"``. By default that of the environment variable
        ``MASKKIT_WEBHOOK_AUTHORIZATION``, if it is set, for every webhook.
    timeout_s : float, default=10
        Time to wait for the server to connect, and again to answer, in seconds.
    """

    def __init__(self, url: str, authorization: str | None = None, timeout_s: float = 10.0):
        self.url = url
        self.authorization = authorization
        self.timeout_s = timeout_s

    @property
    def name(self) -> str:
        """The name in messages, without the parts of the address that may be secret."""
        parts = urlsplit(self.url)
        return f"webhook {parts.scheme}://{_host(parts)}"

    def open(self) -> None:
        """Check the address; raise PluginError if it is none."""
        try:
            parts = urlsplit(self.url)
            is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_valid = False
        if not is_valid or not _is_visible(self.url):
            raise PluginError(
                "sink webhook: its address is not a URL that can be posted to; want webhook:https://HOST/PATH, with "
                "spaces and letters beyond ASCII percent-encoded."
            )
        self._url = urlunsplit(parts._replace(netloc=_host(parts), fragment=""))
        self._headers = {"Content-Type": "application/json", "User-Agent": f"maskkit/{__version__}"}
        authorization = self.authorization or os.environ.get(AUTHORIZATION_VARIABLE)
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {base64.b64encode(login.encode()).decode()}"
        if authorization:
            if not _is_visible(authorization.replace(" ", "")):
                raise PluginError(
                    f"sink webhook: the authorization, or {AUTHORIZATION_VARIABLE}, contains line breaks or letters "
                    f"beyond ASCII; want a value such as 'Bearer TOKEN'."
                )
            self._headers["Authorization"] = authorization
        self._opener = build_opener(_NoRedirection)

    def send(self, event: WatchEvent) -> None:
        """Post the event; raise OSError if it may be accepted later, and ValueError if it is refused."""
        document = event.to_dict()
        if event.snapshot is not None:
            document["snapshot_jpeg"] = base64.b64encode(event.snapshot).decode()
        request = Request(self._url, to_json(document).encode(), self._headers, method="POST")
        try:
            self._opener.open(request, timeout=self.timeout_s).close()
        except HTTPError as exc:
            exc.close()
            if exc.code == _TOO_MANY_REQUESTS or exc.code >= _SERVER_ERROR:
                raise OSError(f"HTTP status {exc.code}") from None
            raise ValueError(f"HTTP status {exc.code}") from None
        except URLError as exc:
            raise OSError(str(exc.reason)) from None
        except HTTPException as exc:
            raise OSError(f"no HTTP answer ({type(exc).__name__})") from None

    def close(self) -> None:
        """Do nothing: no connection is kept."""


class _NoRedirection(HTTPRedirectHandler):
    """Refuses to follow redirections, which would turn the request into one without its body."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Any:
        """Return no request, so that the status is an error."""


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
