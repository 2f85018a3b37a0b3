"""Why a request is not answered, as JSON."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse


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
