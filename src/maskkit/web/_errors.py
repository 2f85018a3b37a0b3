"""Errors of the API, each a JSON body with a code and a message."""

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("maskkit.web")


class ApiError(Exception):
    """A request that is answered with an error: a code for programs, a message for people, and further fields."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers
        self.fields = fields

    def response(self) -> JSONResponse:
        body = {"error": {"code": self.code, "message": str(self)}, **self.fields}
        return JSONResponse(body, self.status, dict(self.headers or {}))


def queue_full(seconds: int) -> ApiError:
    """Return the error that asks a client to retry in some seconds."""
    message = f"The queue is full; retry in {seconds} s."
    return ApiError(503, "queue_full", message, {"Retry-After": str(seconds)})


def add_exception_handlers(app: FastAPI) -> None:
    """Make an application answer all errors in the form of `ApiError`."""

    @app.exception_handler(ApiError)
    async def answer_api_error(request: Request, exc: ApiError) -> JSONResponse:
        return exc.response()

    @app.exception_handler(HTTPException)  # unknown paths and methods
    async def answer_http_error(request: Request, exc: HTTPException) -> JSONResponse:
        code = str(exc.detail).lower().replace(" ", "_")
        message = f"{exc.detail}: {request.method} {request.url.path}"
        headers = dict(exc.headers or {})
        if headers.get("Allow") == "GET":  # HEAD is answered wherever GET is.
            headers["Allow"] = "GET, HEAD"
        return ApiError(exc.status_code, code, message, headers).response()

    @app.exception_handler(RequestValidationError)
    async def answer_invalid_parameter(request: Request, exc: RequestValidationError) -> JSONResponse:
        problems = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
        return ApiError(422, "invalid_parameter", problems).response()


class InternalErrorHandler:
    """ASGI middleware that answers an unexpected exception with status 500.

    The log gets the exception's type and its place in the code, but not its message, which may quote what was
    sent. Starlette's own handler raises the exception again, so that the server would log the message.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def track_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, track_start)
        except Exception as exc:
            if started:
                raise
            stack = "".join(traceback.format_tb(exc.__traceback__))
            _log.error("%s: %s\n%s", scope["path"], type(exc).__name__, stack)
            await ApiError(500, "internal_error", "Internal server error.").response()(scope, receive, send)
