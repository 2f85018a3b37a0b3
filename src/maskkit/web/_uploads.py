"""Request bodies: reading the images of a request within limits, in memory only."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskkit._text import escape_text
from maskkit.web._errors import ApiError, queue_full
from maskkit.web._inspect import Upload
from maskkit.web._limits import Limits

_EXPECTED = "expected multipart/form-data with files, or one image as image/... or application/octet-stream"

# Form fields that are not files are ignored. These limits bound the memory that they take while they are parsed.
_MAX_FIELDS, _MAX_FIELD_BYTES = 100, 65_536

Result = TypeVar("Result")


class MemoryBudget:
    """Memory for uploads, in bytes, shared by all requests of one event loop."""

    def __init__(self, n_bytes: int) -> None:
        self.n_free_bytes = n_bytes

    @contextmanager
    def reserve(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that reserves bytes for one request, or raises a 503; the end releases them all."""
        n_reserved = 0

        def reserve_bytes(n_bytes: int) -> None:
            nonlocal n_reserved
            if n_bytes > self.n_free_bytes:
                raise queue_full(1)
            self.n_free_bytes -= n_bytes
            n_reserved += n_bytes

        try:
            yield reserve_bytes
        finally:
            self.n_free_bytes += n_reserved


async def read_uploads(request: Request, limits: Limits, reserve_bytes: Callable[[int], None]) -> list[Upload]:
    """Read the images of a request, in the order in which they were sent, or raise an `ApiError`."""
    _check_encoding(request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = content_type == "multipart/form-data"
    if not (is_form or content_type == "application/octet-stream" or content_type.startswith("image/")):
        message = f"The content type is {content_type[:100] or 'missing'}; {_EXPECTED}. JSON and base64 are not read."
        raise ApiError(415, "unsupported_media_type", message)
    body = _stream_body(request, limits, reserve_bytes)
    try:
        async with asyncio.timeout(limits.seconds):
            uploads = await (_read_form(request, body, limits) if is_form else _read_image(request, body))
    except TimeoutError as exc:
        message = f"The request did not arrive within {limits.seconds:g} s."
        raise ApiError(408, "upload_timeout", message, {"Connection": "close"}) from exc
    except ClientDisconnect as exc:
        raise _disconnected() from exc
    for upload in uploads:
        if len(upload.data) > limits.image_bytes:
            raise _too_large(upload.name, limits.image_bytes)
    return uploads


def _check_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        message = f"The body is compressed (Content-Encoding: {encoding[:100]}); send it without compression."
        raise ApiError(415, "unsupported_encoding", message, {"Accept-Encoding": "identity"})


async def _stream_body(
    request: Request, limits: Limits, reserve_bytes: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.request_bytes:
        raise _too_large("The request", limits.request_bytes)
    n_bytes = 0
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > limits.request_bytes:
            raise _too_large("The request", limits.request_bytes)
        reserve_bytes(len(chunk))
        yield chunk


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of some work; if the client disconnects before, cancel it and raise an `ApiError`.

    The body of the request must have been read.
    """
    working, gone = asyncio.create_task(work), asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _disconnected()
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _disconnected() -> ApiError:
    return ApiError(400, "client_disconnected", "The client has disconnected.")


def _too_large(subject: str, n_bytes: int) -> ApiError:
    return ApiError(413, "too_large", f"{subject} is larger than {n_bytes:,} bytes; send less.")


async def _read_image(request: Request, body: AsyncGenerator[bytes, None]) -> list[Upload]:
    data = b"".join([chunk async for chunk in body])
    if not data:
        raise ApiError(400, "no_image", f"The request is empty; {_EXPECTED}.")
    return [Upload(escape_text(request.query_params.get("name") or "image"), data)]


async def _read_form(request: Request, body: AsyncGenerator[bytes, None], limits: Limits) -> list[Upload]:
    """Read the files of a form, whatever its fields are called."""

    async def stream_complete_form() -> AsyncGenerator[bytes, None]:
        async for chunk in body:
            yield chunk
        # Raised here, the error makes the parser release the files that it has read so far.
        if not parser.is_complete:
            raise ApiError(400, "invalid_form", "The form ends before its last boundary; send it again.")

    bounds = {"max_files": limits.images, "max_fields": _MAX_FIELDS, "max_part_size": _MAX_FIELD_BYTES}
    parser = _FormParser(request.headers, stream_complete_form(), **bounds)
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeError) as exc:  # a charset such as "undefined" raises UnicodeError
        reason = getattr(exc, "message", str(exc)).rstrip(".")
        # Starlette raises one exception for everything, so only the text distinguishes this case.
        if reason.startswith("Too many files"):
            raise ApiError(413, "too_many_images", f"{reason}; send several requests.") from exc
        hint = "; send images as files, with a file name" if reason.startswith("Part exceeded") else ""
        raise ApiError(400, "invalid_form", f"The form cannot be read ({reason}){hint}.") from exc
    files = [file for _, file in form.multi_items() if isinstance(file, UploadFile)]
    # A file field in which no file was chosen is sent empty and without a name.
    files = [file for file in files if file.filename or file.size]
    # The form chooses the encoding of its names, so that they may hold what no answer can.
    uploads = [Upload(escape_text(file.filename or f"image {n}"), await file.read()) for n, file in enumerate(files, 1)]
    await form.close()
    if not uploads:
        raise ApiError(400, "no_image", "The form contains no file; add one or more, such as -F image=@photo.jpg.")
    return uploads


class _FormParser(MultiPartParser):
    """Starlette's parser, without temporary files and with a check that the form is complete."""

    # Python's SpooledTemporaryFile never moves to the disk with a maximum size of 0.
    spool_max_size = 0
    is_complete = False

    def on_end(self) -> None:
        self.is_complete = True


class DrainRequestBody:
    """ASGI middleware that reads the rest of a request body before it is answered early.

    A connection that is closed while the client still sends is reset, and the client may not see the answer:
    of ten uploads of 30 MB by Python's ``urllib``, all ten ended with a broken pipe instead of the error.
    After `max_bytes` or `seconds` the answer is sent anyway.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A client that waits for "100 Continue" sends no body unless it is asked to.
        ended = Headers(scope=scope).get("expect", "").lower() == "100-continue"

        async def track_end() -> Message:
            nonlocal ended
            message = await receive()
            ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def drain_and_send(message: Message) -> None:
            nonlocal ended
            ended = ended or message.get("status") == 408  # It has had its time.
            n_bytes = 0
            try:
                async with asyncio.timeout(self.seconds):
                    while not ended and n_bytes <= self.max_bytes:
                        n_bytes += len((await track_end()).get("body", b""))
            except TimeoutError:
                pass  # The answer is sent now, and the client may not see it.
            ended = True
            await send(message)

        await self.app(scope, track_end, drain_and_send)
