"""Files from the network: checked, bounded, resumed, and whole under their name or not there."""

import hashlib
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import torch.hub
from filelock import FileLock
from filelock import Timeout as LockTimeout

from maskkit.exceptions import WeightsError

OFFLINE, MIRROR = "MASKKIT_OFFLINE", "MASKKIT_MIRROR"

_N_TRIES = 3
_CHUNK_BYTES = 2**18

# A server that says nothing for so long is not waited for.
STALL_S = 30.0
# ... nor one that drips: 10 kB/s is a tenth of a bad mobile network.
_MIN_BYTES_PER_S = 10_000


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that somebody else serves.

    Attributes
    ----------
    url : str
    sha256 : str
        Of the content, 64 hexadecimal digits: whoever serves it, it is this file or none.
    max_bytes : int
        More than that is not even kept for the checksum.
    """

    url: str
    sha256: str
    max_bytes: int

    @property
    def name(self) -> str:
        return Path(urlsplit(self.url).path).name


def fetch(remote: RemoteFile, folder: Path, *, hint: str) -> Path:
    """Give the local copy of a file; download it unless it is there with the right checksum.

    Half of a file is kept and gone on with, by this call or a later one. ``MASKKIT_MIRROR`` is a URL, or a
    folder's ``file://`` URL, that serves the same names; ``MASKKIT_OFFLINE=1`` forbids the network.

    Parameters
    ----------
    remote : RemoteFile
    folder : Path
        Where copies are kept.
    hint : str
        What to do without a network; ends the error's message.

    Returns
    -------
    path : Path

    Raises
    ------
    WeightsError
        If it cannot be had; the message says from where, why, and `hint`.
    """
    path = folder / remote.name
    if _is_whole(path, remote):
        return path
    url = _choose_url(remote)
    try:
        if is_offline():
            raise OSError(f"{OFFLINE} is set")
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that start together share one download.
        with FileLock(f"{path}.lock", timeout=_longest_s(remote)):
            if not _is_whole(path, remote):
                _download(url, path, remote)
    except (OSError, HTTPException, ValueError, LockTimeout) as exc:
        reason = " ".join(str(exc).split())
        raise WeightsError(f"{remote.name} cannot be downloaded from {url} to {folder} ({reason}); {hint}.") from exc
    return path


def hub_folder() -> Path:
    """Give the folder where `torch.hub` keeps weights too, so that what it has is not downloaded again."""
    return Path(torch.hub.get_dir(), "checkpoints")


def is_offline() -> bool:
    """Tell whether downloads are forbidden."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


def _choose_url(remote: RemoteFile) -> str:
    mirror = os.environ.get(MIRROR)
    return remote.url if not mirror else urljoin(mirror.rstrip("/") + "/", remote.name)


def _longest_s(remote: RemoteFile) -> float:
    return STALL_S + remote.max_bytes / _MIN_BYTES_PER_S


def _is_whole(path: Path, remote: RemoteFile) -> bool:
    if not path.is_file() or path.stat().st_size > remote.max_bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == remote.sha256


def _download(url: str, path: Path, remote: RemoteFile) -> None:
    # Named by the checksum too, so that halves of two versions never become one file.
    part = path.with_name(f"{path.name}.{remote.sha256[:8]}.part")
    deadline = time.monotonic() + _longest_s(remote)
    had_half = part.is_file()
    for n_left in reversed(range(_N_TRIES)):
        try:
            _go_on(url, part, remote, deadline)
            break
        except urllib.error.HTTPError as exc:
            exc.close()
            part.unlink(missing_ok=True)  # 416: there is more of it than the server has
            if n_left == 0 or exc.code not in (416, 429, 500, 502, 503, 504):
                raise
        except (OSError, HTTPException):
            if n_left == 0 or time.monotonic() > deadline:
                raise
    if not _is_whole(part, remote):
        n_bytes = part.stat().st_size
        part.unlink()
        if had_half:  # which may be what is wrong
            return _download(url, path, remote)
        raise OSError(f"its {n_bytes:,} bytes have another checksum")
    return os.replace(part, path)


def _go_on(url: str, part: Path, remote: RemoteFile, deadline: float) -> None:
    """Download what is missing of a file."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "maskkit", **_from(start)})
    with _OPENER.open(request, timeout=STALL_S) as answer:
        is_rest = getattr(answer, "status", None) == 206 and str(answer.headers["Content-Range"]).startswith(
            f"bytes {start}-"
        )
        start = start if is_rest else 0
        promised = answer.headers["Content-Length"]
        if promised is not None and start + int(promised) > remote.max_bytes:
            raise ValueError(f"it has {start + int(promised):,} bytes, want {remote.max_bytes:,} at most")
        with part.open("ab" if is_rest else "wb") as stream:
            n_bytes = start
            while chunk := answer.read1(_CHUNK_BYTES) if hasattr(answer, "read1") else answer.read(_CHUNK_BYTES):
                n_bytes += len(chunk)
                if n_bytes > remote.max_bytes:
                    raise ValueError(f"it has more than {remote.max_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"slower than {_MIN_BYTES_PER_S:,} bytes a second")
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
    if promised is not None and n_bytes - start < int(promised):
        raise OSError(f"the connection ended after {n_bytes:,} of {start + int(promised):,} bytes")


def _from(start: int) -> dict[str, str]:
    return {"Range": f"bytes={start}-"} if start else {}


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows ten redirects at most, and none from https to what anybody on the way may change."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise OSError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SafeRedirects)
