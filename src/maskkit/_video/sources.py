"""Video sources: parsing cameras, URLs and files, and opening them with PyAV."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from maskkit.exceptions import VideoError

# FFmpeg's names of the formats that read cameras.
_CAMERA_FORMATS = {"darwin": "avfoundation", "win32": "dshow"}

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
    url: str
    format: str | None
    options: dict[str, str]

    @property
    def is_camera(self) -> bool:
        """Whether this is a camera of this machine."""
        return self.format is not None

    @property
    def is_url(self) -> bool:
        """Whether this is a URL, which may use the network."""
        return "://" in self.url

    @property
    def is_file(self) -> bool:
        """Whether this is a file."""
        return not (self.is_camera or self.is_url)

    def open(self) -> Any:
        """Return PyAV's container and its first video stream, or raise `VideoError`."""
        if self.is_file and not Path(self.url).is_file():
            raise VideoError(f"{self.name}: no such file; want a video file, a camera number such as 0, or a URL.")
        try:
            container: Any = av.open(self.url, format=self.format, options=dict(self.options), timeout=STALL_S)
        except (av.error.FFmpegError, OSError, ValueError) as exc:
            raise VideoError(f"{self.name}: {self._explain(exc)}") from exc
        if not container.streams.video:
            types = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            container.close()
            raise VideoError(f"{self.name}: contains no video, only {types}.")
        stream = container.streams.video[0]
        # Decoding several frames in parallel is faster, but delays each frame; live video cannot wait.
        stream.thread_type = "AUTO" if self.is_file else "SLICE"
        return container, stream

    def _explain(self, exc: Exception) -> str:
        reason = getattr(exc, "strerror", None) or str(exc)
        if self.is_camera:
            return f"this camera cannot be opened ({reason}); check that it is connected, allowed and not in use."
        if self.is_url:
            return f"cannot be opened ({reason}); check the address, and that this machine reaches it."
        return f"is not a video that FFmpeg can read ({reason})."


def parse_source(source: str | int | os.PathLike[str], options: dict[str, str]) -> VideoSource:
    """Return the source for a camera number, a path in ``/dev``, a URL or the path of a file."""
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    if text.isdecimal() and not Path(text).is_file():
        return _camera(int(text), options)
    if text.startswith("/dev/"):
        return VideoSource(text, text, "v4l2", options)
    if text.lower().startswith(("rtsp://", "rtsps://")):
        # FFmpeg's default is UDP, where lost packets smear the frames.
        options = {"rtsp_transport": "tcp", **options}
    return VideoSource(hide_password(text), text, None, options)


def hide_password(url: str) -> str:
    """Remove the user and password of a URL, and mask values of its query that are named like secrets."""
    # A password may contain "/" or "@" by mistake. Therefore, what follows a colon and is not a port is removed up to
    # the last "@"; without a colon, only a user before the first "/".
    url = re.sub(r"://(?:[^/?#\[]*:(?!\d*(?:[/?#]|$)).*@|[^/?#]*@)", "://", url)
    return re.sub(r"([?&][^=&]*(?:pass|pwd|token|key|secret|auth)[^=&]*)=[^&]*", r"\1=***", url, flags=re.IGNORECASE)


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
