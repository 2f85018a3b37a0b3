"""Video sources: parsing cameras, URLs and files, and opening them with PyAV."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import av
from av.stream import Disposition

from maskkit._text import check_path, hide_secrets
from maskkit._video.ffmpeg_options import find_unknown_options
from maskkit.exceptions import VideoError

Result = TypeVar("Result")

# FFmpeg's names of the formats that read cameras.
_CAMERA_FORMATS = {"darwin": "avfoundation", "win32": "dshow"}

# The largest frame: 8,192 x 8,192. A file of a few bytes may state a size that fills the memory. Ours.
MAX_FRAME_PIXELS = 2**26

# Decoders accept them and take both from the stream instead.
_OPTIONS_OF_RAW_VIDEO = ("video_size", "pixel_format")

# A stream without any packet for this time has stopped, in seconds. Key frames are usually at most 10 s apart, and
# other packets come all the time. Ours.
STALL_S = 10.0


@dataclass(frozen=True, slots=True)
class VideoSource:
    """The source of a video.

    `name` is used in messages and events, and has no password; FFmpeg opens `url`. Cameras have a `format`, FFmpeg's
    name of the format that reads them.
    """

    name: str
    url: str = field(repr=False)
    format: str | None
    options: dict[str, str] = field(repr=False)

    @property
    def is_camera(self) -> bool:
        return self.format is not None

    @property
    def is_url(self) -> bool:
        return "://" in self.url

    @property
    def is_file(self) -> bool:
        return not (self.is_camera or self.is_url)

    def open(self) -> Any:
        """Return PyAV's container and its first video stream, or raise `VideoError`."""
        if self.is_file:
            self._check_file()
        container = self._call(self._open_container)
        try:
            stream = self._choose_stream(container)
            if self.is_file and self._call(self._is_photo):
                raise VideoError(f"{self.name}: holds a single picture, not a video; use maskkit predict for photos.")
            unknown = self._call(self._open_codec, container, stream)
            if unknown:
                names = hide_secrets(", ".join(unknown))
                raise VideoError(
                    f"{self.name}: has no use for the FFmpeg option {names}; check the spelling, or leave it out."
                )
        except VideoError:
            container.close()
            raise
        return container, stream

    def _call(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call PyAV; raise VideoError for its errors, without the errors themselves, which hold URL and options."""
        try:
            return function(*args)
        except (av.error.FFmpegError, OSError, ValueError) as exc:
            message = f"{self.name}: {self._explain(exc)}"
        # Raised here, it has neither cause nor context.
        raise VideoError(message)

    def _open_container(self) -> Any:
        return av.open(self.url, format=self.format, options=dict(self.options), timeout=STALL_S)

    def _check_file(self) -> None:
        """Raise VideoError if there is no such file; a pattern of numbered frames is left to FFmpeg."""
        path = Path(self.url)
        if path.is_dir():
            raise VideoError(
                f"{self.name}: is a folder, not a video; use maskkit predict for a folder of photos, or pass the "
                f"numbered frames of a video as a pattern such as {path / '%04d.png'}."
            )
        if path.is_file() and not path.stat().st_size:
            raise VideoError(f"{self.name}: is empty; choose another file.")
        if not path.is_file() and "%" not in path.name:
            raise VideoError(f"{self.name}: no such file; want a video file, a camera number such as 0, or a URL.")

    def _is_photo(self) -> bool:
        """Return whether no stream of a file holds more than one picture; an icon has a stream for each size."""
        counts: Counter[int] = Counter()
        with self._open_container() as container:
            for packet in container.demux(list(container.streams.video)):
                counts[packet.stream.index] += bool(packet.size)
                if counts[packet.stream.index] > 1:
                    return False
        return counts.total() > 0

    def _choose_stream(self, container: Any) -> Any:
        """Return the first video stream, but neither the cover of a recording nor a still image beside a video."""
        videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not videos:
            types = sorted({stream.type for stream in container.streams if stream.type != "video"})
            types += ["a cover picture"] if container.streams.video else []
            raise VideoError(f"{self.name}: contains no video, only {' and '.join(types) or 'nothing'}.")
        stream = next((video for video in videos if video.frames > 1), videos[0])
        if stream.codec_context is None:
            raise VideoError(f"{self.name}: has a codec that this FFmpeg cannot decode.")
        if stream.width * stream.height > MAX_FRAME_PIXELS:
            raise VideoError(
                f"{self.name}: states frames of {stream.width} x {stream.height} px; want {MAX_FRAME_PIXELS:,} pixels "
                f"at most."
            )
        return stream

    def _open_codec(self, container: Any, stream: Any) -> list[str]:
        """Open the codec with the options that are not for reading; return those that are for neither."""
        # Decoding several frames in parallel is faster, but delays each frame; live video cannot wait.
        stream.thread_type = "AUTO" if self.is_file else "SLICE"
        codec = stream.codec_context
        names = find_unknown_options(self.options, container.format.name, is_url=self.is_url)
        # The size of the frames may grow in the middle of a stream.
        for_codec = {name: self.options[name] for name in names if name not in _OPTIONS_OF_RAW_VIDEO}
        codec.options = {"max_pixels": str(MAX_FRAME_PIXELS), **for_codec}
        codec.open(strict=False)
        return sorted(set(names) - set(for_codec) | set(codec.options) & set(names))

    def _explain(self, exc: Exception) -> str:
        # The text of other errors than those with a number may hold what was passed to PyAV.
        reason = getattr(exc, "strerror", None) or (str(exc) if self.is_file else type(exc).__name__)
        if isinstance(exc, av.error.ArgumentError) and self.options:
            return (
                f"cannot be opened ({reason}); check the values of the options {hide_secrets(', '.join(self.options))}."
            )
        if self.is_camera:
            return f"this camera cannot be opened ({reason}); check that it is connected, allowed and not in use."
        if self.is_url:
            return f"cannot be opened ({reason}); check the address, and that this machine reaches it."
        return f"is not a video that FFmpeg can read ({reason}), or an incomplete one, such as a .mp4 that was cut off."


def parse_source(source: str | int | os.PathLike[str], options: dict[str, str]) -> VideoSource:
    """Return the source for a camera number, a path in ``/dev``, a URL or the path of a file."""
    if isinstance(source, bool) or not isinstance(source, (int, str, os.PathLike)):
        raise TypeError(f"source is of type {type(source).__name__}; want a path, a URL or the number of a camera.")
    text = str(source) if isinstance(source, int) else os.fspath(source)
    if not isinstance(source, int):
        check_path(source, VideoError)
    if text.isdecimal() and not Path(text).is_file():
        return _camera(int(text), options)
    if text.startswith("/dev/"):
        return VideoSource(text, text, "v4l2", options)
    if text.lower().startswith(("rtsp://", "rtsps://")):
        # FFmpeg's default is UDP, where lost packets smear the frames.
        options = {"rtsp_transport": "tcp", **options}
    return VideoSource(hide_secrets(text), text, None, options)


def _camera(index: int, options: dict[str, str]) -> VideoSource:
    camera_format = _CAMERA_FORMATS.get(sys.platform, "v4l2")
    if camera_format == "v4l2":
        return VideoSource(f"/dev/video{index}", f"/dev/video{index}", camera_format, options)
    if camera_format == "avfoundation":
        return VideoSource(f"camera {index}", f"{index}:none", camera_format, options)
    # DirectShow on Windows opens cameras by name only.
    names = [device.name for device in av.enumerate_input_devices(camera_format) if "video" in device.media_types]
    if index >= len(names):
        raise VideoError(f"camera {index}: not found; the cameras, counted from 0, are: {', '.join(names) or 'none'}.")
    return VideoSource(names[index], f"video={names[index]}", camera_format, options)
