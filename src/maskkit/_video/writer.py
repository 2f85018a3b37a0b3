"""Writing frames to a video file that can be played even if writing is interrupted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image

from maskkit._files.outputs import check_new, create_file
from maskkit.exceptions import VideoError

_FORMAT_OPTIONS = {
    # Each second is a fragment that can be played by itself, so that an interrupted file lacks only its last second.
    ".mp4": {"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000"},
    ".mkv": {"cluster_time_limit": "1000"},
}

# Times are in milliseconds, because the frames of live video have no fixed rate.
_TIME_BASE = Fraction(1, 1000)


class VideoWriter:
    """Writes images with their times to a ``.mp4`` or ``.mkv`` file, without sound and metadata.

    The codec is H.264 where PyAV has its encoder, otherwise MPEG-4. The first image determines the size of the video.
    No file is replaced. Raises `OutputError` if the file exists, and `VideoError` if it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = check_new(path)
        if self.path.suffix.lower() not in _FORMAT_OPTIONS:
            raise VideoError(f"{path}: want a name that ends in {' or '.join(_FORMAT_OPTIONS)}.")
        # The empty file takes the name, which FFmpeg would take from another file without asking.
        create_file(self.path, b"")
        options = {"fflags": "+flush_packets+bitexact", **_FORMAT_OPTIONS[self.path.suffix.lower()]}
        try:
            with self._write_errors():
                self._container: Any = av.open(f"file:{self.path}", "w", options=options)
        except VideoError:
            self.path.unlink(missing_ok=True)
            raise
        self._stream: Any = None
        self._last_ms = -1

    def write(self, picture: Image.Image, time_s: float) -> None:
        """Write an image; raises `VideoError` if that fails, for example because the disk is full."""
        if self._stream is None:
            self._stream = self._add_stream(picture.size)
        frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        # The format needs increasing times; two frames within a millisecond are moved apart.
        self._last_ms = max(self._last_ms + 1, round(time_s * 1000))
        frame = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        frame.pts, frame.time_base = self._last_ms, _TIME_BASE
        self._encode(frame)

    def close(self) -> None:
        """Write the frames that the encoder still has, and close the file; a file without frames is deleted."""
        try:
            if self._stream is not None:
                self._encode(None)
        finally:
            with self._write_errors():
                self._container.close()
        if self._stream is None:
            self.path.unlink(missing_ok=True)

    def _add_stream(self, size: tuple[int, int]) -> Any:
        has_h264 = "libx264" in av.codecs_available
        stream = self._container.add_stream(
            "libx264" if has_h264 else "mpeg4",
            rate=25,
            # Fast enough for 25 frames per second beside the network, and without delayed frames.
            options={"preset": "veryfast", "tune": "zerolatency", "g": "50"} if has_h264 else {"qscale": "5"},
        )
        # Both encoders store color at half the resolution, so that sides must be even.
        stream.width, stream.height = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        return stream

    def _encode(self, frame: Any) -> None:
        with self._write_errors():
            for packet in self._stream.encode(frame):
                self._container.mux(packet)

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as exc:
            raise VideoError(f"{self.path}: cannot be written ({exc.strerror}).") from exc
