"""What a request brings: the files of a form, or one file as it is. They stay in memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from maskkit.web._batcher import Upload
from maskkit.web._limits import Limits
from maskkit.web._refusal import RefusedError
from maskkit.web._room import Share

_WANTED = "want multipart/form-data with files, or one image as image/... or application/octet-stream"


async def read_uploads(request: Request, limits: Limits, share: Share) -> list[Upload]:
    """Read the files of a request, in the order in which they came.

    Raises
    ------
    RefusedError
        400 if there is no file or the form is broken, 408 if it takes too long, 413 if it is too much, 415 if
        it is neither a form nor an image, 503 if there is no memory for it.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data":
        files: _Form | _Raw = _Form(options.get(b"boundary", b""), limits)
    elif content_type == b"application/octet-stream" or content_type.startswith(b"image/"):
        files = _Raw(request.query_params.get("name") or "image", limits)
    else:
        came = content_type.decode("latin-1") or "no content type"
        raise RefusedError(415, "unsupported_type", f"{came}; {_WANTED}.")
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in _chunks(request, limits):
                share.take(len(chunk))
                files.write(chunk)
    except TimeoutError as exc:
        raise RefusedError(408, "slow_upload", f"The request did not arrive within {limits.seconds:g} s.") from exc
    except FormParserError as exc:
        raise RefusedError(400, "broken_form", f"The form cannot be read ({exc}).") from exc
    except ClientDisconnect as exc:
        raise RefusedError(400, "gone", "The client has gone.") from exc
    return files.finish()


async def _chunks(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    n_bytes = 0
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limits.request_bytes:
        raise _too_large("The request", limits.request_bytes)
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > limits.request_bytes:
            raise _too_large("The request", limits.request_bytes)
        yield chunk


def _too_large(what: str, n_bytes: int) -> RefusedError:
    return RefusedError(413, "too_large", f"{what} is larger than {n_bytes:,} bytes; send less.")


class _Raw:
    """One file as it is."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.data = bytearray()

    def write(self, chunk: bytes) -> None:
        self.data += chunk
        if len(self.data) > self.limits.image_bytes:
            raise _too_large(self.name, self.limits.image_bytes)

    def finish(self) -> list[Upload]:
        if not self.data:
            raise RefusedError(400, "no_image", f"The request is empty; {_WANTED}.")
        return [Upload(self.name, bytes(self.data))]


class _Form:
    """The files of a form, whatever its fields are called. Starlette's own parser writes larger files to disk."""

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        if not boundary:
            raise RefusedError(
                400, "broken_form", "multipart/form-data without a boundary; let the client set the header."
            )
        self.limits = limits
        self.uploads: list[Upload] = []
        self._header = self._value = b""
        self._name: str | None = None
        self._data = bytearray()
        self._complete = False
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_part_data": self._on_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as exc:
            raise RefusedError(400, "broken_form", f"The form cannot be read ({exc}).") from exc

    def write(self, chunk: bytes) -> None:
        self._parser.write(chunk)

    def finish(self) -> list[Upload]:
        if not self._complete:
            raise RefusedError(400, "broken_form", "The form ends before its last boundary; send it again.")
        if not self.uploads:
            raise RefusedError(400, "no_image", "The form holds no file; add one or more, such as -F image=@photo.jpg.")
        return self.uploads

    def _begin(self) -> None:
        self._name = None
        self._data = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            if b"filename" in options:
                if len(self.uploads) == self.limits.images:
                    raise RefusedError(
                        413, "too_many", f"More than {self.limits.images} images; send several requests."
                    )
                self._name = options[b"filename"].decode("utf-8", "replace")
        self._header = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            self._data += data[start:end]
            if len(self._data) > self.limits.image_bytes:
                raise _too_large(self._name or "One image", self.limits.image_bytes)

    def _end_part(self) -> None:
        # A file field in which nobody chose a file comes empty and without a name.
        if self._name or (self._name == "" and self._data):
            self.uploads.append(Upload(self._name or f"image {len(self.uploads) + 1}", bytes(self._data)))

    def _end(self) -> None:
        self._complete = True
