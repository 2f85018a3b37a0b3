"""Inspection of uploaded files before any of them is decoded."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from maskkit._images.load import read_size
from maskkit.exceptions import ImageError
from maskkit.web._errors import ApiError
from maskkit.web._formats import ACCEPTED, describe_unsupported, identify_format
from maskkit.web._limits import Limits
from maskkit.web._structure import StructureError, check_structure


class Upload(NamedTuple):
    """An uploaded image file."""

    name: str
    data: bytes


class UnsupportedFormatError(ImageError):
    """A file whose format is known and not accepted."""


class Inspection(NamedTuple):
    """A file with the number of pixels that it decodes to, or the error that it gets."""

    upload: Upload
    n_px: int
    error: ImageError | None


async def inspect_uploads(uploads: Iterable[Upload], limits: Limits) -> list[Inspection]:
    """Inspect the files of a request; raise an `ApiError` if they have too many pixels together."""
    inspections = [await asyncio.to_thread(_inspect, upload, limits.image_px) for upload in uploads]
    n_px = sum(inspection.n_px for inspection in inspections)
    if n_px > limits.request_px:
        message = f"The images have {n_px:,} pixels together; send {limits.request_px:,} at most, or several requests."
        raise ApiError(413, "too_many_pixels", message)
    return inspections


def _inspect(upload: Upload, max_px: int) -> Inspection:
    try:
        return Inspection(upload, _count_pixels(*upload, max_px), None)
    except ImageError as exc:
        return Inspection(upload, 0, exc)


def _count_pixels(name: str, data: bytes, max_px: int) -> int:
    file_format = identify_format(data) or _refuse_format(name, data)
    try:
        structure = check_structure(file_format, data)
        if structure.tile_px > max_px:
            raise ImageError(f"{name}: has tiles of {structure.tile_px:,} pixels; want {max_px:,} at most.")
        width, height = read_size(data, name=name, max_px=max_px, formats=[file_format])
        structure.check_work(width * height)
    except StructureError as exc:
        raise ImageError(f"{name}: is refused ({exc}); save it again with an image program.") from exc
    return max(width * height, structure.tile_px)


def _refuse_format(name: str, data: bytes) -> NoReturn:
    if not data:
        raise ImageError(f"{name}: is empty; choose another file.")
    description = describe_unsupported(data)
    if description is not None:
        raise UnsupportedFormatError(f"{name}: {description}.")
    raise ImageError(f"{name}: is of no accepted format; send {ACCEPTED}.")
