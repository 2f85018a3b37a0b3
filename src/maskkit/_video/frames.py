"""Frames out of a video: all of a recording, or the newest of something live."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import av

from maskkit._video.items import Change, Frame, FrameCounts, Item
from maskkit._video.sources import Place
from maskkit.exceptions import VideoError

# Pauses before a stream that was lost is tried again: doubled from the first to the last, in seconds. Ours: a
# camera that restarts is back within seconds, and one that is gone for a night is asked twice a minute.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0

# Packets in a row that cannot be decoded: FFmpeg gives one error a packet until the next key frame, 10 s at most
# at 25 frames a second. More than that is no bad moment but a stream that is broken.
MOST_ERRORS = 250

# How often one hears that there is no frame.
_TICK_S = 1.0


def decode(container: Any, stream: Any, counts: FrameCounts) -> Iterator[Any]:
    """Yield the pictures of an open video to its end; what cannot be decoded is counted and passed over.

    Raises
    ------
    FFmpegError
        If reading fails, or too many packets in a row cannot be decoded.
    """
    n_errors = 0
    for packet in container.demux(stream):
        try:
            pictures = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            counts.n_read += 1
            counts.n_failed += 1
            n_errors += 1
            if n_errors > MOST_ERRORS:
                raise
            continue
        for picture in pictures:
            n_errors = 0
            counts.n_read += 1
            yield picture


class Recording:
    """Every frame of a file, one after the other, or every N-th.

    Parameters
    ----------
    place : Place
    container, stream : object
        Open.
    counts : FrameCounts
    every : int
        1 for all frames.
    """

    is_live = False

    def __init__(self, place: Place, container: Any, stream: Any, counts: FrameCounts, *, every: int = 1):
        self.place = place
        self.container = container
        self.stream = stream
        self.counts = counts
        self.every = every
        self.end = "ended"
        self._stopped = False

    def __iter__(self) -> Iterator[Item]:
        clock = _StreamClock(self.stream)
        try:
            for index, picture in enumerate(decode(self.container, self.stream, self.counts)):
                time_s = clock.read(picture)
                if self._stopped:
                    self.counts.n_dropped += 1
                    self.end = "stopped"
                    return
                if index % self.every:
                    self.counts.n_dropped += 1
                    continue
                yield Frame(picture, time_s, datetime.now(UTC), time.monotonic())
        except av.error.FFmpegError as exc:
            self.end = f"broken: {exc.strerror}"

    def stop(self) -> None:
        """End with the frame that is under way."""
        self._stopped = True

    def elapsed_s(self) -> float:
        """Never asked for: a recording does not wait."""
        raise NotImplementedError

    def close(self) -> None:
        """Let the file go."""
        self.container.close()


class Live:
    """The newest frame of a camera or stream, whatever time the last one took.

    A thread reads all frames, since each builds on those before it, and keeps the newest alone. A stream
    that stops is opened again and again, with growing pauses.

    Parameters
    ----------
    place : Place
    container, stream : object
        Open.
    counts : FrameCounts
    paced : bool
        Whether it is a recording that is to play at its own speed, once.
    give_up_after_s : float
        How long a stream that has stopped is waited for.
    open_again : callable, optional
        By default ``place.open``.
    """

    is_live = True

    def __init__(
        self,
        place: Place,
        container: Any,
        stream: Any,
        counts: FrameCounts,
        *,
        paced: bool = False,
        give_up_after_s: float = 600.0,
        open_again: Callable[[], Any] | None = None,
    ):
        self.place = place
        self.counts = counts
        self.paced = paced
        self.give_up_after_s = give_up_after_s
        self.end = "ended"
        self._opened = container, stream
        self._open_again = open_again or place.open
        self._start_s = time.monotonic()
        self._failure: Exception | None = None
        self._items: deque[Frame | Change] = deque()
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"maskkit reads {place.name}", daemon=True)

    def __iter__(self) -> Iterator[Item]:
        self._start_s = time.monotonic()
        self._thread.start()
        while True:
            with self._news:
                if not self._items and self._thread.is_alive() and not self._stop.is_set():
                    self._news.wait(_TICK_S)
                item = self._items.popleft() if self._items and not self._stop.is_set() else None
                over = item is None and (self._stop.is_set() or (not self._thread.is_alive() and not self._items))
            if over and self._failure is not None:
                raise self._failure
            if over:
                return
            yield item

    def stop(self) -> None:
        """End with the frame that is under way."""
        self.end = "stopped"
        self._stop.set()
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """End the thread and let the stream go; a frame that waits is dropped."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._news:
            self.counts.n_dropped += sum(isinstance(item, Frame) for item in self._items)
            self._items.clear()
        self._opened[0].close()

    def elapsed_s(self) -> float:
        """Tell the time of the stream: that since its first frame was waited for."""
        return time.monotonic() - self._start_s

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                reason = self._read_until_it_stops()
                if self.paced and reason is not None:
                    self.end = f"broken: {reason}"
                if self.paced or self._stop.is_set() or not self._reconnect(reason or "the stream ended"):
                    return
        except Exception as exc:  # whatever it is belongs to who waits for frames, not to this thread
            self._failure = exc
        finally:
            with self._news:
                self._news.notify_all()

    def _read_until_it_stops(self) -> str | None:
        """Read on; gives why reading failed, or None at the end."""
        container, stream = self._opened
        clock = _StreamClock(stream)
        try:
            for picture in decode(container, stream, self.counts):
                due_s = self._start_s + clock.read(picture) if self.paced else time.monotonic()
                stopped = self._stop.wait(max(0.0, due_s - time.monotonic()) if self.paced else 0)
                self._offer(Frame(picture, due_s - self._start_s, datetime.now(UTC), due_s))
                if stopped:
                    break
        except av.error.FFmpegError as exc:
            return exc.strerror or str(exc)
        return None

    def _offer(self, item: Frame | Change) -> None:
        with self._news:
            if isinstance(item, Frame) and self._items and isinstance(self._items[-1], Frame):
                self._items.pop()
                self.counts.n_dropped += 1
            self._items.append(item)
            self._news.notify_all()

    def _reconnect(self, reason: str) -> bool:
        lost_s = self.elapsed_s()
        self._offer(Change("stream_lost", lost_s, datetime.now(UTC), {"reason": reason}))
        self._opened[0].close()
        pause_s, n_tries = FIRST_PAUSE_S, 0
        while (away_s := self.elapsed_s() - lost_s) < self.give_up_after_s:
            if self._stop.wait(min(pause_s, self.give_up_after_s - away_s)):
                return False
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            n_tries += 1
            try:
                self._opened = self._open_again()
            except VideoError:
                continue
            back_s = self.elapsed_s()
            details = {"away_s": round(back_s - lost_s, 3), "n_tries": n_tries}
            self._offer(Change("stream_back", back_s, datetime.now(UTC), details))
            return True
        self.end = "given_up"
        return False


class _StreamClock:
    """Seconds since the first picture, which never go back, however the file's own times jump."""

    def __init__(self, stream: Any):
        self._step_s = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        self._first_s: float | None = None
        self._last_s = -self._step_s

    def read(self, picture: Any) -> float:
        time_s = picture.time
        if time_s is not None and self._first_s is None:
            self._first_s = time_s
        since_s = self._last_s + self._step_s if time_s is None else time_s - self._first_s
        self._last_s = since_s if since_s > self._last_s else self._last_s + self._step_s
        return self._last_s
