"""Why a request is not answered, as JSON."""

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("maskkit.web")


class RefusedError(Exception):
    """A request that gets an error for an answer.

    Parameters
    ----------
    status : int
        Of HTTP.
    code : str
        One word for programs.
    message : str
        For people: what came, what is wanted, the way out.
    headers : mapping, optional
    **more : object
        Further keys of the body.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers
        self.more = more

    def response(self) -> JSONResponse:
        """Say it."""
        body = {"error": {"code": self.code, "message": str(self)}, **self.more}
        return JSONResponse(body, self.status, dict(self.headers or {}))


def busy(seconds: int) -> RefusedError:
    """Send a request away for some seconds."""
    return RefusedError(
        503, "busy", f"As much waits as there is room for; try again in {seconds} s.", {"Retry-After": str(seconds)}
    )


async def answer_refusal(request: Request, exc: Exception) -> JSONResponse:
    """Turn a `RefusedError` into a response."""
    assert isinstance(exc, RefusedError)
    return exc.response()


class LastResort:
    """Answers with a 500 where anything else is raised: a mistake of ours, of which the client learns no more.

    The log shows where it was made, but not the error's words, which may quote what was sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as exc:
            if started:
                raise
            where = "".join(traceback.format_tb(exc.__traceback__))
            _log.error("%s: %s\n%s", scope["path"], type(exc).__name__, where)
            await RefusedError(500, "failed", "The server made a mistake.").response()(scope, receive, send)
