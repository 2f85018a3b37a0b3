"""Frames -> a video file that can be played whenever writing stops."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from maskkit.exceptions import VideoError

_OPTIONS = {
    # A file of parts, each playable by itself, one a second: what is cut off lacks its last second.
    ".mp4": {"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000"},
    ".mkv": {"cluster_time_limit": "1000"},
}

# Milliseconds: frames of live video come when they come.
_TIME_BASE = Fraction(1, 1000)


class VideoWriter:
    """Writes pictures with their times, without sound and metadata.

    H.264 where PyAV has its encoder, else MPEG-4. The first picture's size is that of the video.

    Parameters
    ----------
    path : path
        Ends in .mp4 or .mkv; replaced if it exists.

    Raises
    ------
    VideoError
        If the ending is another, or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        if self.path.suffix.lower() not in _OPTIONS:
            raise VideoError(f"{path}: want a name that ends in {' or '.join(_OPTIONS)}.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        options = {"fflags": "+flush_packets+bitexact", **_OPTIONS[self.path.suffix.lower()]}
        try:
            self._container: Any = av.open(str(self.path), "w", options=options)
        except (av.error.FFmpegError, OSError) as exc:
            raise VideoError(f"{path}: cannot be written ({exc.strerror}).") from exc
        self._stream: Any = None
        self._last_ms = -1

    def write(self, picture: Image.Image, time_s: float) -> None:
        """Add a picture; its time must be later than the last one's.

        Raises
        ------
        VideoError
            If the file cannot be written, such as when the disk is full.
        """
        if self._stream is None:
            self._stream = self._add_stream(picture.size)
        frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        self._last_ms = max(self._last_ms + 1, round(time_s * 1000))
        frame = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        frame.pts, frame.time_base = self._last_ms, _TIME_BASE
        self._mux(frame)

    def close(self) -> None:
        """Write what is still held back, and the end of the file; without a picture there is no file.

        Raises
        ------
        VideoError
            If that cannot be written.
        """
        try:
            if self._stream is not None:
                self._mux(None)
        finally:
            self._finish()

    def _finish(self) -> None:
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as exc:
            raise VideoError(f"{self.path}: cannot be written ({exc.strerror}).") from exc
        if self._stream is None:
            self.path.unlink(missing_ok=True)

    def _add_stream(self, size: tuple[int, int]) -> Any:
        has_h264 = "libx264" in av.codecs_available
        stream = self._container.add_stream(
            "libx264" if has_h264 else "mpeg4",
            rate=25,
            # As quick as 25 frames a second beside the network want it, with no frame held back.
            options={"preset": "veryfast", "tune": "zerolatency", "g": "50"} if has_h264 else {"qscale": "5"},
        )
        # Both encoders halve the colours: sides must be even.
        stream.width, stream.height = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        return stream

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as exc:
            raise VideoError(f"{self.path}: cannot be written ({exc.strerror}).") from exc
