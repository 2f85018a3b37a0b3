"""What a user calls a source -> what PyAV opens."""

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import av

from maskkit.exceptions import VideoError

VideoSource: TypeAlias = str | int | os.PathLike[str]
"""Number or path of a camera, a URL, or the path of a video file."""

# FFmpeg's names for what reads cameras.
_CAMERAS = {"darwin": "avfoundation", "win32": "dshow"}

# A stream that says nothing for so long has stopped; the longest usual distance of key frames is 10 s, but packets
# come all the time. Ours.
STALL_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a video comes from.

    Attributes
    ----------
    name : str
        What it is called in messages and events: without the password that a URL may hold.
    url : str
        What FFmpeg opens.
    format : str or None
        FFmpeg's name of the format, where it cannot be told from the content.
    options : dict
        FFmpeg's.
    """

    name: str
    url: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def is_camera(self) -> bool:
        """Whether it is a device of this machine."""
        return self.format is not None

    @property
    def is_url(self) -> bool:
        """Whether it comes over a network."""
        return "://" in self.url

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return not (self.is_camera or self.is_url)

    def open(self) -> Any:
        """Open it; gives PyAV's container and its first stream of pictures.

        Raises
        ------
        VideoError
            If it does not exist, cannot be read or has no pictures.
        """
        if self.is_file and not Path(self.url).is_file():
            raise VideoError(f"{self.name}: no such file; want a video file, a camera's number such as 0, or a URL.")
        try:
            container: Any = av.open(self.url, format=self.format, options=dict(self.options), timeout=STALL_S)
        except (av.error.FFmpegError, OSError, ValueError) as exc:
            raise VideoError(f"{self.name}: {self._explain(exc)}") from exc
        if not container.streams.video:
            held = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            container.close()
            raise VideoError(f"{self.name}: holds no video, only {held}.")
        stream = container.streams.video[0]
        # Threads that share out frames hold some back, which what is live cannot wait for.
        stream.thread_type = "AUTO" if self.is_file else "SLICE"
        return container, stream

    def _explain(self, exc: Exception) -> str:
        reason = getattr(exc, "strerror", None) or str(exc)
        if self.is_camera:
            return f"this camera cannot be opened ({reason}); is it connected, allowed and not in use?"
        if self.is_url:
            return f"cannot be opened ({reason}); check the address, and that this machine reaches it."
        return f"is no video that FFmpeg can read ({reason})."


def find_place(source: VideoSource, options: dict[str, str] | None = None) -> Place:
    """Tell a camera, a URL and a file apart.

    Parameters
    ----------
    source : int, str or path
        A whole number is a camera's; so is a path in ``/dev``.
    options : dict, optional
        FFmpeg's options for it.
    """
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    given = dict(options or {})
    if text.isdecimal() and not Path(text).is_file():
        return _camera(int(text), given)
    if text.startswith("/dev/"):
        return Place(text, text, "v4l2", given)
    if text.lower().startswith(("rtsp://", "rtsps://")):
        # Over UDP, which is FFmpeg's first choice, lost packets smear the pictures.
        given = {"rtsp_transport": "tcp", **given}
    return Place(hide_password(text), text, None, given)


def hide_password(url: str) -> str:
    """Leave out the user and password of a URL."""
    return re.sub(r"://[^/@]*@", "://", url)


def _camera(index: int, options: dict[str, str]) -> Place:
    reader = _CAMERAS.get(sys.platform, "v4l2")
    if reader == "v4l2":
        return Place(f"/dev/video{index}", f"/dev/video{index}", reader, options)
    if reader == "avfoundation":
        return Place(f"camera {index}", f"{index}:none", reader, options)
    # Windows knows cameras by name only.
    names = [device.name for device in av.enumerate_input_devices(reader) if "video" in device.media_types]
    if index >= len(names):
        raise VideoError(f"camera {index}: there is {', '.join(names) or 'none'} (counted from 0).")
    return Place(names[index], f"video={names[index]}", reader, options)
