"""Frame readers: all frames of a file, or the newest frame of a camera or stream."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import av

from maskkit._video.clock import StreamClock
from maskkit._video.display import pixel_aspect
from maskkit._video.events import Frame, FrameCounts
from maskkit._video.sources import VideoSource
from maskkit.exceptions import VideoError
from maskkit.sinks._base import WatchEvent

# Pauses before a lost stream is reopened, in seconds: doubled from the first to the last. Ours: a camera that
# restarts is back within seconds, and one that is off for a night is tried twice a minute.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0

# Maximum number of consecutive packets that cannot be decoded. FFmpeg raises one error per packet until the next key
# frame, which is at most 10 s away at 25 frames per second. Beyond that the stream is broken.
MAX_ERRORS = 250

# Frames that wait in a live reader: those that arrived in this time before the newest, in seconds, and at most so many.
# They bridge a full search, and bound the lag and the memory. Ours.
MAX_WAIT_S, MAX_WAITING = 0.25, 8

# Interval at which a live reader yields the time while no frame arrives, in seconds.
_TICK_S = 1.0


def decode(container: Any, stream: Any, counts: FrameCounts) -> Iterator[Any]:
    """Iterate over the pictures of an open video; raise `FFmpegError` if too many packets in a row are broken."""
    n_errors = 0
    for packet in container.demux(stream):
        try:
            pictures = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as exc:
            counts.n_read += 1
            counts.n_failed += 1
            counts.last_failure = exc.strerror or type(exc).__name__
            n_errors += 1
            if n_errors > MAX_ERRORS:
                raise
            continue
        for picture in pictures:
            n_errors = 0
            counts.n_read += 1
            yield picture


class FileReader:
    """Reads every frame of a file, or every `frame_step`-th."""

    is_live = False

    def __init__(self, source: VideoSource, container: Any, stream: Any, frame_step: int):
        self.source, self.container, self.stream = source, container, stream
        self.counts, self.frame_step = FrameCounts(), frame_step
        self.end_reason, self._stopped = "ended", False

    def __iter__(self) -> Iterator[Frame]:
        clock, aspect = StreamClock(self.stream), pixel_aspect(self.stream)
        jump_s: float | None = None
        try:
            for index, picture in enumerate(decode(self.container, self.stream, self.counts)):
                time_s = clock.read(picture)
                if self._stopped:
                    self.counts.n_dropped += 1
                    self.end_reason = "stopped"
                    return
                jump_s = clock.jump_s or jump_s
                if index % self.frame_step:
                    self.counts.n_skipped += 1
                    continue
                yield Frame(picture, time_s, datetime.now(UTC), time.monotonic(), aspect, jump_s)
                jump_s = None
        except av.error.FFmpegError as exc:
            self.end_reason = f"broken: {exc.strerror or type(exc).__name__}"

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.container.close()


class LiveReader:
    """Reads the newest frames of a camera or stream, however long the last one took to process.

    A thread decodes all frames, because each depends on those before it, and keeps the newest few. A stream that
    stops is reopened with growing pauses for up to `reconnect_timeout_s` seconds. With `paced` the source is a file
    that plays once at its own speed.
    """

    is_live = True

    def __init__(self, source: VideoSource, container: Any, stream: Any, reconnect_timeout_s: float, *, paced: bool):
        self.source, self.counts, self._opened = source, FrameCounts(), (container, stream)
        self.paced, self.reconnect_timeout_s = paced, reconnect_timeout_s
        self.end_reason = "ended"
        self._start_s = time.monotonic()
        self._failure: Exception | None = None
        self._items: deque[Frame | WatchEvent] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"maskkit reads {source.name}", daemon=True)

    def __iter__(self) -> Iterator[Frame | WatchEvent | float]:
        """Iterate over frames and stream events; while nothing arrives, yield the time of the stream."""
        self._start_s = time.monotonic()
        self._thread.start()
        while True:
            with self._changed:
                if not self._items and self._thread.is_alive() and not self._stop.is_set():
                    self._changed.wait(_TICK_S)
                item = self._items.popleft() if self._items and not self._stop.is_set() else None
                # What the thread left behind is still yielded after it has ended, but not after a stop.
                finished = item is None and (self._stop.is_set() or (not self._thread.is_alive() and not self._items))
            if finished:
                if self._failure is not None:
                    raise self._failure
                return
            yield self.elapsed_s() if item is None else item

    def stop(self) -> None:
        self.end_reason = "stopped"
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread and close the stream; a waiting frame is dropped."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._changed:
            self.counts.n_dropped += sum(isinstance(item, Frame) for item in self._items)
            self._items.clear()
        self._opened[0].close()

    def elapsed_s(self) -> float:
        """Return the time of the stream: seconds since reading began."""
        return time.monotonic() - self._start_s

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                error = self._read_to_end()
                if self.paced and error is not None:
                    self.end_reason = f"broken: {error}"
                if self.paced or self._stop.is_set() or not self._reconnect(error or "the stream ended"):
                    return
        except Exception as exc:  # raised again in the thread that iterates
            self._failure = exc
        finally:
            with self._changed:
                self._changed.notify_all()

    def _read_to_end(self) -> str | None:
        """Read until the stream ends; return the error if reading failed."""
        container, stream = self._opened
        clock, aspect = StreamClock(stream), pixel_aspect(stream)
        try:
            for picture in decode(container, stream, self.counts):
                due_s = self._start_s + clock.read(picture) if self.paced else time.monotonic()
                stopped = self._stop.wait(max(0.0, due_s - time.monotonic()) if self.paced else 0)
                jump_s = clock.jump_s if self.paced else None
                self._put(Frame(picture, due_s - self._start_s, datetime.now(UTC), due_s, aspect, jump_s))
                if stopped:
                    break
        except av.error.FFmpegError as exc:
            return exc.strerror or type(exc).__name__  # Its text may hold the URL with a password.
        return None

    def _put(self, item: Frame | WatchEvent) -> None:
        """Append an item. Frames that have waited too long are dropped; stream events are all kept."""
        with self._changed:
            self._items.append(item)
            if isinstance(item, Frame):
                self._items = self._without_late(item.due_s - MAX_WAIT_S)
            self._changed.notify_all()

    def _without_late(self, earliest_s: float) -> deque[Frame | WatchEvent]:
        """Return the waiting items without frames from before a time, and without the first of too many."""
        kept: deque[Frame | WatchEvent] = deque()
        jump_s: float | None = None
        for index, item in enumerate(self._items):
            if isinstance(item, Frame):
                item = item._replace(jump_s=item.jump_s or jump_s)
                is_late = item.due_s < earliest_s or index < len(self._items) - MAX_WAITING
                jump_s = item.jump_s if is_late else None
                if is_late:
                    self.counts.n_dropped += 1
                    continue
            kept.append(item)
        return kept

    def _reconnect(self, reason: str) -> bool:
        """Reopen a lost stream; return whether that succeeded in time."""
        lost_s = self.elapsed_s()
        self._put(WatchEvent("stream_lost", lost_s, datetime.now(UTC), {"reason": reason}))
        self._opened[0].close()
        pause_s, n_attempts = FIRST_PAUSE_S, 0
        while (outage_s := self.elapsed_s() - lost_s) < self.reconnect_timeout_s:
            if self._stop.wait(min(pause_s, self.reconnect_timeout_s - outage_s)):
                return False
            pause_s = min(2 * pause_s, LAST_PAUSE_S)
            n_attempts += 1
            try:
                self._opened = self.source.open()
            except VideoError:
                continue
            restored_s = self.elapsed_s()
            details = {"outage_s": round(restored_s - lost_s, 3), "n_attempts": n_attempts}
            self._put(WatchEvent("stream_restored", restored_s, datetime.now(UTC), details))
            return True
        self.end_reason = "reconnect_timeout"
        return False
