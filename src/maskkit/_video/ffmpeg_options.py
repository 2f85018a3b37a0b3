"""FFmpeg's input options: which of them a source understands."""

import ctypes
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import av.format

_IS_DECODING = 2  # AV_OPT_FLAG_DECODING_PARAM
_IS_CLASS, _WITH_CHILDREN = 2, 1  # AV_OPT_SEARCH_FAKE_OBJ, AV_OPT_SEARCH_CHILDREN


class _InputFormat(ctypes.Structure):
    """The public start of FFmpeg's AVInputFormat."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("long_name", ctypes.c_char_p),
        ("flags", ctypes.c_int),
        ("extensions", ctypes.c_char_p),
        ("codec_tag", ctypes.c_void_p),
        ("options", ctypes.c_void_p),
    )


def find_unknown_options(names: Iterable[str], format_name: str, *, is_url: bool) -> list[str]:
    """Return the names of options that neither FFmpeg's reader of a format nor its protocols have.

    FFmpeg leaves out such options without an error, and PyAV does not pass on which these were. Where the libraries of
    PyAV cannot be called, no option is unknown.
    """
    ffmpeg = _load_ffmpeg()
    if ffmpeg is None:
        return []
    classes = [ffmpeg.avformat_get_class(), *_protocol_classes(ffmpeg, is_url=is_url)]
    reader = ffmpeg.av_find_input_format(format_name.partition(",")[0].encode())
    classes += [reader.contents.options] if reader else []
    return [name for name in names if not any(_has_option(ffmpeg, options, name) for options in classes)]


def _protocol_classes(ffmpeg: Any, *, is_url: bool) -> list[int | None]:
    """Return the options of the file protocol, or those of all protocols, because one connects by another."""
    if not is_url:
        return [ffmpeg.avio_protocol_get_class(b"file")]
    state, classes = ctypes.c_void_p(), []
    while name := ffmpeg.avio_enum_protocols(ctypes.byref(state), 0):
        classes.append(ffmpeg.avio_protocol_get_class(name))
    return classes


def _has_option(ffmpeg: Any, options: int | None, name: str) -> bool:
    # FFmpeg finds options in an object that begins with a pointer to its class; here it is this pointer alone.
    start = ctypes.byref(ctypes.c_void_p(options))
    return bool(options and ffmpeg.av_opt_find(start, name.encode(), None, _IS_DECODING, _IS_CLASS))


@cache
def _load_ffmpeg() -> Any:
    """Return the FFmpeg functions used here from the libraries that PyAV has loaded, or None."""
    # A library's symbols are found in those that it depends on, except on Windows, where each one must be opened.
    package = Path(av.format.__file__).parent
    for file in (av.format.__file__, *package.parent.glob("av.libs/av*.dll")):
        library = ctypes.CDLL(str(file))
        if hasattr(library, "avformat_get_class") and hasattr(library, "av_opt_find"):
            break
    else:
        return None
    library.avformat_get_class.restype = ctypes.c_void_p
    library.av_find_input_format.restype = ctypes.POINTER(_InputFormat)
    library.av_find_input_format.argtypes = [ctypes.c_char_p]
    library.avio_protocol_get_class.restype = ctypes.c_void_p
    library.avio_protocol_get_class.argtypes = [ctypes.c_char_p]
    library.avio_enum_protocols.restype = ctypes.c_char_p
    library.avio_enum_protocols.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.av_opt_find.restype = ctypes.c_void_p
    library.av_opt_find.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    return library
