"""Checked downloads of weights, kept where torch.hub keeps its own."""

import os
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import torch.hub
from filelock import FileLock

from maskkit._images.hashing import hash_file
from maskkit.exceptions import WeightsError

OFFLINE = "MASKKIT_OFFLINE"


def download(url: str, sha256: str, *, hint: str) -> Path:
    """Return the local copy of a file; download it unless a copy with the right checksum exists.

    Copies are kept in the folder of `torch.hub` (environment variable ``TORCH_HOME``), so that what torchvision
    has downloaded is not downloaded again. ``MASKKIT_OFFLINE=1`` forbids the network.

    Raises WeightsError if the file cannot be downloaded; the message holds the address, the folder, the reason and
    `hint`, which says what to do without a network.
    """
    folder = Path(torch.hub.get_dir(), "checkpoints")
    path = folder / Path(urlsplit(url).path).name
    if _is_valid(path, sha256):
        return path
    try:
        if is_offline():
            raise OSError(f"{OFFLINE} is set")
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that start together share one download.
        with FileLock(f"{path}.lock"):
            if not _is_valid(path, sha256):
                torch.hub.download_url_to_file(url, str(path), sha256, progress=sys.stderr.isatty())
    except (OSError, HTTPException, RuntimeError, ValueError) as exc:  # RuntimeError: another checksum
        reason = " ".join(str(exc).split())
        raise WeightsError(f"{path.name} cannot be downloaded from {url} to {folder} ({reason}); {hint}.") from exc
    return path


def is_offline() -> bool:
    """Return whether ``MASKKIT_OFFLINE`` forbids downloads."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


def _is_valid(path: Path, sha256: str) -> bool:
    return path.is_file() and hash_file(path) == sha256
