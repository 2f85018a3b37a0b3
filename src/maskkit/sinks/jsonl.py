"""Sink that appends events to a file."""

import json
import os
from typing import TextIO

from maskkit._files.outputs import check_output_folder
from maskkit._text import check_path
from maskkit.exceptions import OutputError
from maskkit.sinks._base import WatchEvent

# A first line that is longer is none of an event.
_MAX_EVENT_BYTES = 65_536


class JsonlSink:
    """Appends events to a JSON Lines file, one line each, written as soon as it happens.

    Parameters
    ----------
    path : str or Path, default="events.jsonl"
        Path of the file, which is new or holds events. Its folder is created if missing.
    """

    def __init__(self, path: str | os.PathLike[str] = "events.jsonl"):
        self.path = path
        self.name = f"jsonl {os.fspath(path)}"

    def open(self) -> None:
        """Open the file; raise OutputError if it holds something else or cannot be written to."""
        try:
            self._file = _open_event_file(self.path)
        except OSError as exc:
            reason = exc.strerror or exc
            raise OutputError(f"{self.path}: cannot be written to ({reason}); choose another file or folder.") from exc

    def send(self, event: WatchEvent) -> None:
        """Write the event."""
        self._file.write(event.to_json() + "\n")
        self._file.flush()  # Another program may follow the file while the video runs.

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open_event_file(path: str | os.PathLike[str]) -> TextIO:
    path = check_path(path, OutputError)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; pass the name of a file.")
    check_output_folder(path.absolute().parent).mkdir(parents=True, exist_ok=True)
    ends_in_line = True
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if not _is_event(file.readline(_MAX_EVENT_BYTES)):
                raise OutputError(f"{path}: holds something else than events; choose another name.")
            file.seek(-1, os.SEEK_END)
            ends_in_line = file.read() == b"\n"
    log = path.open("a", encoding="utf-8")
    # A process that was killed may have left half a line.
    log.write("" if ends_in_line else "\n")
    return log


def _is_event(line: bytes) -> bool:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.keys() >= {"event"}
